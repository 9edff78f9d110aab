//! `EXPLAIN CHECKPOINT`: what a statement will keep.

use crate::process::{path, run_sql, weir};
use std::fs;

/// The SQL and the output of each example of a page: a block of SQL with a block of text behind it.
fn examples(page: &str) -> Vec<(String, String)> {
    let blocks: Vec<(&str, &str)> =
        page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect();
    let pairs = blocks.windows(2).filter(|pair| pair[0].0 == "sql" && pair[1].0 == "text");
    pairs.map(|pair| (pair[0].1.to_string(), pair[1].1.to_string())).collect()
}

/// The page shows what the binary prints. `WEIR_UPDATE_EXPECTED` writes it anew.
#[test]
fn the_page_shows_real_output() {
    let file = path("docs/explain-checkpoint.md");
    let page = fs::read_to_string(&file).expect("the page");
    let examples = examples(&page);
    assert!(examples.len() >= 3, "{} examples", examples.len());
    let mut updated = page.clone();
    for (sql, shown) in examples {
        let printed = run_sql(&sql, &[]).succeeded().stdout;
        let example = |text: &str| format!("```sql\n{sql}\n```\n\n```text\n{text}\n```");
        updated = updated.replace(&example(&shown), &example(printed.trim_end()));
    }
    if std::env::var_os("WEIR_UPDATE_EXPECTED").is_some() {
        fs::write(file, updated).expect("the page can be written");
    } else {
        assert_eq!(updated, page);
    }
}

/// For every query that comes with Weir: nothing is wider than a terminal, and the planner has said what bounds the
/// state of every operator that keeps some.
#[test]
fn the_state_of_every_query_is_told() {
    let folder = path("queries/nexmark");
    let mut stateful = 0;
    for entry in fs::read_dir(&folder).expect("queries") {
        let file = entry.expect("a readable folder").path();
        let name = file.file_name().expect("a file").to_string_lossy().to_string();
        if !name.starts_with('q') {
            continue;
        }
        let tables = folder.join("generator.sql");
        let files = [tables.to_str().expect("UTF-8"), file.to_str().expect("UTF-8")];
        let data = format!("DATA={}", path("tests/goldens/nexmark-100k").display());
        let run = weir(&["explain", "--checkpoint", "-D", &data, files[0], files[1]]).succeeded();
        for line in run.stdout.lines() {
            assert!(line.chars().count() <= 100, "{name}: {line}");
        }
        assert!(!run.stdout.contains("keeps entries,"), "{name}: nobody says what bounds it\n{}", run.stdout);
        let families = run.stdout.matches("column family ").count();
        let json =
            weir(&["explain", "--checkpoint", "--json", "-D", &data, files[0], files[1]]).succeeded().stdout;
        let json: serde_json::Value =
            serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        let operators = json["operators"].as_array().expect("operators");
        let states =
            |operator: &serde_json::Value| operator["keyed_states"].as_array().expect("states").len();
        assert_eq!(families, operators.iter().map(states).sum::<usize>(), "{name}");
        stateful += usize::from(families > 0);
    }
    assert!(stateful >= 6, "{stateful} queries keep state");
}

#[test]
fn other_details_do_not_go_with_it() {
    let run = run_sql("EXPLAIN CHECKPOINT, CHANGELOG_MODE SELECT 1;", &[]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("EXPLAIN CHECKPOINT shows state and nothing else"), "{}", run.stderr);
}
