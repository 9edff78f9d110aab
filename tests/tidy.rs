//! What a reviewer should not have to look for: arrows between rooms, sizes, names, licences.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 70;
/// rustfmt keeps code at 110; a comment with a long word may pass it.
const LINE_WIDTH: usize = 141;

/// Which rooms a room may depend on: the arrows of ARCHITECTURE.md, all of them.
const ARROWS: [(&str, &[&str]); 10] = [
    ("weir", &["weir-planner", "weir-runtime"]),
    ("weir-planner", &["weir-functions", "weir-types"]),
    ("weir-functions", &["weir-types"]),
    ("weir-runtime", &["weir-operators", "weir-connectors", "weir-checkpoint", "weir-state", "weir-types"]),
    ("weir-operators", &["weir-state", "weir-types"]),
    ("weir-connectors", &["weir-formats", "weir-types"]),
    ("weir-checkpoint", &["weir-state", "weir-types"]),
    ("weir-state", &["weir-types"]),
    ("weir-formats", &["weir-types"]),
    ("weir-types", &[]),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The files that git tracks or would track.
fn tracked() -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git ls-files failed");
    let listed = String::from_utf8(output.stdout).expect("paths are UTF-8");
    listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
}

fn rust_files() -> Vec<(PathBuf, String)> {
    tracked()
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let text = fs::read_to_string(root().join(&path)).expect("a source file is UTF-8");
            (path, text)
        })
        .collect()
}

fn fail_if_any(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// `cargo metadata` of the workspace, or of everything it depends on.
fn metadata(arguments: &[&str]) -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

#[test]
fn arrows_between_rooms() {
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let metadata = metadata(&["--no-deps"]);
    let packages = metadata["packages"].as_array().expect("packages");
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for package in packages {
        let name = package["name"].as_str().expect("name");
        seen.insert(name);
        let Some(allowed) = allowed.get(name) else {
            problems.push(format!("{name}: a room that the list of arrows does not have"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let target = dependency["name"].as_str().expect("name");
            // Tests and benches of the root look into every room.
            let counts = dependency["kind"].is_null() || name != "weir";
            if counts && target.starts_with("weir") && !allowed.contains(&target) {
                problems.push(format!("{name} -> {target}: no such arrow in ARCHITECTURE.md"));
            }
        }
    }
    assert_eq!(seen, allowed.keys().copied().collect(), "rooms");
    fail_if_any(problems);
}

/// Dependencies that a room has for their features alone: it fixes them for every selection of packages.
const FOR_THEIR_FEATURES: [&str; 2] = ["datafusion-common", "datafusion-expr"];

#[test]
fn every_dependency_is_used() {
    let metadata = metadata(&["--no-deps"]);
    let files = rust_files();
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("name");
        let manifest = PathBuf::from(package["manifest_path"].as_str().expect("manifest_path"));
        let room = manifest.parent().expect("a folder").strip_prefix(root()).expect("inside the workspace");
        let own = |path: &Path| path.starts_with(room) && (name != "weir" || !is_of_another_room(path));
        let texts: Vec<&str> =
            files.iter().filter(|(path, _)| own(path)).map(|(_, text)| &text[..]).collect();
        for dependency in package["dependencies"].as_array().expect("dependencies") {
            let named = dependency["rename"].as_str().or(dependency["name"].as_str()).expect("name");
            if name == "weir-types" && FOR_THEIR_FEATURES.contains(&named) {
                continue;
            }
            let krate = if named == "md-5" { "md5".to_string() } else { named.replace('-', "_") };
            let used = [format!("{krate}::"), format!("use {krate};")];
            if !texts.iter().any(|text| used.iter().any(|used| text.contains(used))) {
                problems.push(format!("{name}: nothing uses {named}"));
            }
        }
    }
    fail_if_any(problems);
}

fn is_of_another_room(path: &Path) -> bool {
    path.starts_with("planner") || path.starts_with("runtime")
}

#[test]
fn files_and_lines_are_short() {
    let mut problems = Vec::new();
    for (path, text) in rust_files() {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            problems.push(format!("{}: {lines} lines, at most {FILE_LINES}", path.display()));
        }
        for (index, line) in text.lines().enumerate() {
            let width = line.chars().count();
            // rustfmt does not break texts
            if width > LINE_WIDTH && !line.contains('"') {
                problems.push(format!("{}:{}: {width} columns", path.display(), index + 1));
            }
        }
    }
    fail_if_any(problems);
}

/// The lines of each function with a body, found by rustfmt's indentation: from `fn` to the `}` below it.
fn functions(text: &str) -> Vec<(usize, String, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words = line.trim_start();
        let head: Vec<&str> = words.split_whitespace().take_while(|word| *word != "fn").collect();
        let is_function = words.split_whitespace().any(|word| word == "fn")
            && head.iter().all(|word| {
                ["const", "async", "unsafe", "extern", "\"C\""].contains(word) || word.starts_with("pub")
            });
        if !is_function {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let end = lines[start..].iter().position(|line| *line == close || line.trim_end().ends_with(';'));
        let Some(length) = end else { continue };
        // A signature may hold no `;` line before its body, so the first `;` inside a body is the wrong end.
        let length = if lines[start + length] == close {
            length
        } else if lines[start..=start + length].iter().any(|line| line.trim_end().ends_with('{')) {
            match lines[start..].iter().position(|line| *line == close) {
                Some(length) => length,
                None => continue,
            }
        } else {
            continue;
        };
        found.push((start + 1, words.to_string(), length + 1));
    }
    found
}

#[test]
fn functions_are_short() {
    let mut problems = Vec::new();
    // A table of cases is as long as its cases.
    let holds_cases =
        |path: &Path| path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "benches");
    for (path, text) in rust_files().into_iter().filter(|(path, _)| !holds_cases(path)) {
        for (line, head, length) in functions(&text) {
            if length > FUNCTION_LINES {
                problems.push(format!(
                    "{}:{line}: {length} lines, at most {FUNCTION_LINES}: {head}",
                    path.display()
                ));
            }
        }
    }
    fail_if_any(problems);
}

#[test]
fn the_measure_of_functions_measures() {
    let text = "impl A {\n    pub fn a(\n        b: u8,\n    ) {\n        c();\n    }\n\n    fn d();\n}\n";
    assert_eq!(functions(text), [(2, "pub fn a(".to_string(), 5)]);
}

#[test]
fn names_say_what_they_hold() {
    let forbidden = ["utils", "util", "common", "helpers", "helper", "prelude", "misc", "stuff"];
    let mut problems = Vec::new();
    for path in tracked() {
        for part in path.iter().filter_map(|part| part.to_str()) {
            let stem = part.split('.').next().unwrap_or(part);
            if forbidden.contains(&stem) || stem.ends_with("_v2") {
                problems.push(format!("{}: name it by what it holds", path.display()));
            }
        }
    }
    fail_if_any(problems);
}

/// The repository speaks of Weir, not of the machine or the tools it was written with.
#[test]
fn no_paths_of_a_machine() {
    let forbidden = [["/wo", "rk/"].concat(), ["/ro", "ot/"].concat(), ["artifac", "tory"].concat()];
    let mut problems = Vec::new();
    for path in tracked() {
        let Ok(text) = fs::read_to_string(root().join(&path)) else { continue };
        for word in forbidden.iter().filter(|word| text.contains(word.as_str())) {
            problems.push(format!("{}: speaks of {word}", path.display()));
        }
    }
    fail_if_any(problems);
}

#[test]
fn todos_are_notes_elsewhere() {
    let word = ["TO", "DO"].concat();
    let mut problems = Vec::new();
    for (path, text) in rust_files() {
        for (index, line) in text.lines().enumerate().filter(|(_, line)| line.contains(&word)) {
            problems.push(format!("{}:{}: {}", path.display(), index + 1, line.trim()));
        }
    }
    fail_if_any(problems);
}

/// Whether one of the alternatives of an SPDX expression is allowed in all its parts.
fn licence_allowed(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let flat = expression.replace(['(', ')'], "").replace('/', " OR ");
    flat.split(" OR ").any(|alternative| alternative.split(" AND ").all(|part| allowed.contains(part.trim())))
}

#[test]
fn licences_of_dependencies() {
    let deny = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    let section = deny.split("allow = [").nth(1).and_then(|rest| rest.split(']').next()).expect("allow list");
    let allowed: BTreeSet<String> = section.split('"').skip(1).step_by(2).map(str::to_string).collect();
    assert!(allowed.contains("MIT") && !licence_allowed("GPL-3.0", &allowed));
    let metadata = metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]);
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let licence = package["license"].as_str().unwrap_or("none");
        if !licence_allowed(licence, &allowed)
            && !Path::new(package["manifest_path"].as_str().unwrap_or("")).starts_with(root())
        {
            problems.push(format!("{} {}: licence {licence}", package["name"], package["version"]));
        }
    }
    fail_if_any(problems);
}
