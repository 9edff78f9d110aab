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

/// Calls that say more about NULL than Flink does, or the truth where Flink does not: LPAD to a negative length is NULL.
const NULLABILITY_DIFFERS: [&str; 6] =
    ["IF(CAST(NULL", "LPAD", "RPAD", "TYPEOF", "1 IS DISTINCT", "CAST(NULL AS INT) IS NOT"];

fn same_type(text: &str, found: &str, expected: &str) -> bool {
    // Arrow's maps have no NULL among their keys.
    let normal = |sql_type: &str| loose(sql_type).replace("MAP<STRING NOT NULL, ", "MAP<STRING, ");
    let bare = |sql_type: &str| normal(sql_type).trim_end_matches(" NOT NULL").to_string();
    match NULLABILITY_DIFFERS.iter().any(|start| text.starts_with(start)) {
        true => bare(found) == bare(expected),
        false => normal(found) == normal(expected),
    }
}

/// Equal, or numbers that differ in the last place: Java's own library rounds a few results of transcendental
/// functions otherwise.
fn same_value(text: &str, found: &str, expected: &str) -> bool {
    let transcendental = ["SIN(", "COSH(", "TAN("].iter().any(|name| text.starts_with(name));
    match (found.parse::<f64>(), expected.parse::<f64>()) {
        (Ok(a), Ok(b)) if transcendental => (a - b).abs() <= b.abs() * f64::EPSILON,
        _ => found == expected,
    }
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
                if !same_type(text, &found_type, sql_type) {
                    wrong.push(format!("{text}: is {found_type}, should be {sql_type}"));
                }
                if value != "*" && !same_value(text, &found, value) {
                    wrong.push(format!("{text}: gives {found}, should give {value}"));
                }
            }
            Err(error) => wrong.push(format!("{text}: {}", error.strip_backtrace())),
        }
    }
    assert!(wrong.is_empty(), "{} wrong of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
