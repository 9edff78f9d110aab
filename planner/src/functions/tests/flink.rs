//! What a real Flink answered: `flink.txt` has an expression, its type and its value a line.

use super::{answer, registry_in};

/// The type without the lengths of texts, which do not matter to values.
fn loose(sql_type: &str) -> String {
    let mut loose = String::new();
    let mut rest = sql_type;
    while let Some(place) = ["VARCHAR(", "CHAR(", "BINARY("].iter().filter_map(|name| rest.find(name)).min() {
        loose.push_str(&rest[..place]);
        let end = place + rest[place..].find(')').unwrap() + 1;
        loose.push_str(if rest[place..].starts_with("BINARY") { "BYTES" } else { "STRING" });
        rest = &rest[end..];
    }
    (loose + rest).replace("VARBYTES", "BYTES")
}

#[test]
fn answers_as_flink() {
    let registry = registry_in("UTC");
    let mut wrong = vec![];
    let mut count = 0;
    for line in include_str!("flink.txt").lines() {
        let [text, sql_type, value] = line.split(" ## ").collect::<Vec<_>>()[..] else { panic!("{line}") };
        count += 1;
        match answer(&registry, text) {
            Ok((found_type, found)) => {
                if loose(&found_type) != loose(sql_type) {
                    wrong.push(format!("{text}: is {found_type}, should be {sql_type}"));
                }
                if value != "*" && found != value {
                    wrong.push(format!("{text}: gives {found}, should give {value}"));
                }
            }
            Err(error) => wrong.push(format!("{text}: {}", error.strip_backtrace())),
        }
    }
    assert!(wrong.is_empty(), "{} wrong of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
