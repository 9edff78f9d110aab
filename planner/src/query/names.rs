//! Names that do not clash.

use std::collections::BTreeSet;

/// `name`, or with the first number after it that makes it unlike all of `taken`, as Flink numbers columns: `a`, `a0`,
/// `a1`.
pub(super) fn unique_name(name: &str, taken: &BTreeSet<&str>) -> String {
    let mut unique = name.to_string();
    let mut number = 0;
    while taken.contains(unique.as_str()) {
        unique = format!("{name}{number}");
        number += 1;
    }
    unique
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_names_are_numbered() {
        let taken = BTreeSet::from(["a", "a0", "b"]);
        assert_eq!(unique_name("a", &taken), "a1");
        assert_eq!(unique_name("b", &taken), "b0");
        assert_eq!(unique_name("c", &taken), "c");
    }
}
