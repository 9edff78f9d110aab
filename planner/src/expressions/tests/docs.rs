//! `docs/functions.md` lists what there is. `WEIR_UPDATE_EXPECTED=1` writes it anew.

use std::fmt::Write;
use std::path::Path;
use weir_functions::{Function, functions};

fn line(out: &mut String, function: &Function) {
    writeln!(out, "| `{}` | {} |", function.name, function.summary.replace('|', "\\|")).unwrap();
}

fn listed() -> String {
    let mut out = String::from(
        "# Scalar functions\n\nGenerated from the tables in `planner/functions`. Names, types and answers are those of \
         Flink 2.2, in any case of letters.\n",
    );
    let mut section = |title: &str, fits: &dyn Fn(&Function) -> bool| {
        writeln!(out, "\n## {title}\n\n| | |\n| --- | --- |").unwrap();
        let mut known: Vec<_> = functions().filter(|function| fits(function)).collect();
        known.sort_by_key(|function| function.name);
        known.into_iter().for_each(|function| line(&mut out, function));
    };
    let word = |function: &Function| function.name.starts_with(|first: char| first.is_ascii_alphabetic());
    section("Functions", &word);
    section("Operators and special syntax", &|function| !word(function));
    out.replace("| `$", "| `")
}

#[test]
fn the_list_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/functions.md");
    if std::env::var_os("WEIR_UPDATE_EXPECTED").is_some() {
        std::fs::write(&path, listed()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written,
        listed(),
        "docs/functions.md: run this test with WEIR_UPDATE_EXPECTED=1 and look at the difference"
    );
}

#[test]
fn every_function_says_what_it_does() {
    for function in functions() {
        assert!(!function.summary.is_empty(), "{}", function.name);
        assert_eq!(function.name, function.name.to_uppercase(), "names are in capitals");
    }
}
