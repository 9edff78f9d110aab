use super::*;

#[test]
fn set_shows_changes_and_resets() {
    let mut planner = after("SET 'parallelism.default' = '3'; SET table.dml-sync = true;");
    let all = lines(&rows(&mut planner, "SET"));
    assert!(all.starts_with("key|value\n"), "{all}");
    assert!(all.contains("\nparallelism.default|3\n") && all.contains("\ntable.dml-sync|true\n"), "{all}");
    assert!(planner.settings().dml_sync());
    plan(&mut planner, "RESET 'parallelism.default'").unwrap();
    assert_eq!(planner.settings().get("parallelism.default"), Some("1"));
    plan(&mut planner, "RESET").unwrap();
    assert!(!planner.settings().dml_sync());
}

#[test]
fn settings_reach_the_job() {
    let mut planner = planner();
    let planned =
        plan(&mut planner, "SET 'parallelism.default' = '2'; SET 'pipeline.name' = 'mine'; SELECT 1");
    let Ok(Planned::Query(graph)) = planned else { panic!("{planned:?}") };
    assert_eq!((graph.settings.parallelism, graph.name.as_str()), (2, "mine"));
}

#[test]
fn wrong_settings_point_at_key_or_value() {
    assert_eq!(
        error(&mut planner(), "SET 'paralelism.default' = '2'"),
        "unknown setting 'paralelism.default', did you mean 'parallelism.default'?
 --> line 1, column 5
  |
1 | SET 'paralelism.default' = '2'
  |     ^^^^^^^^^^^^^^^^^^^^"
    );
    let message = error(&mut planner(), "SET 'parallelism.default' = 'many'");
    assert!(message.contains("--> line 1, column 29"), "{message}");
    let message = error(&mut planner(), "SET 'table.exec.emit.early-fire.delay' = '10 s'");
    assert!(
        message.starts_with("not supported yet: setting 'table.exec.emit.early-fire.delay'"),
        "{message}"
    );
}
