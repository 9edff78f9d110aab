//! Java's regular expressions by backtracking, for those that the `regex` crate cannot do in linear time: look-around,
//! back references, possessive quantifiers.
//!
//! Why by hand: crates that backtrack follow Perl or Oniguruma. Text would have to be parsed as Java reads it (intersections
//! of classes, line terminators, `\Z`, quoting) to be written in their syntax, and what follows the parser is the smaller
//! half. `syntax` reads a pattern, `set` is its classes of characters, `program` the instructions made of it, `machine` runs
//! them.
//!
//! A search that takes more than [`MAX_STEPS`] ends with an error: alternatives may multiply with each character.

mod machine;
mod program;
mod set;
mod syntax;

use program::Program;

pub(super) use machine::{Places, RunAway};

/// Steps that one search may take: a fraction of a second.
const MAX_STEPS: u64 = 20_000_000;

/// Why there is no program for a pattern.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// Java does not take it either.
    Malformed(String),
    Unsupported(String),
}

/// A pattern that can be searched for.
#[derive(Debug)]
pub(super) struct Backtracking {
    program: Program,
}

impl Backtracking {
    pub fn new(pattern: &str) -> Result<Self, Fault> {
        Ok(Backtracking { program: Program::new(&syntax::parse(pattern)?)? })
    }

    /// Groups, that of the whole match among them.
    pub fn groups(&self) -> usize {
        self.program.groups
    }

    /// The first match that starts at byte `from` or behind it; `places` gets its groups.
    pub fn find_at(&self, text: &str, from: usize, places: &mut Places) -> Result<bool, RunAway> {
        machine::search(&self.program, text, from, MAX_STEPS, places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts of `text` that the groups of the first match have.
    fn found(pattern: &str, text: &str) -> Option<Vec<Option<String>>> {
        let regex = Backtracking::new(pattern).unwrap_or_else(|fault| panic!("{pattern}: {fault:?}"));
        let mut places = Places::default();
        regex.find_at(text, 0, &mut places).unwrap().then(|| {
            let part = |group| places.get(group).map(|(start, end)| text[start..end].to_string());
            (0..regex.groups()).map(part).collect()
        })
    }

    fn whole(pattern: &str, text: &str) -> Option<String> {
        found(pattern, text).and_then(|groups| groups[0].clone())
    }

    #[test]
    fn finds_what_java_finds() {
        let cases: [(&str, &str, Option<&str>); 44] = [
            ("foo(?=bar)", "foobaz foobar", Some("foo")),
            ("foo(?!bar)", "foobar foobaz", Some("foo")),
            ("(?<=a)b", "b ab", Some("b")),
            ("(?<!a)b", "ab cb", Some("b")),
            ("(?<=a{1,3})b", "aaab", Some("b")),
            (r"(a+)b\1", "aabaa", Some("aabaa")),
            (r"(?<x>a|b)\k<x>", "abb", Some("bb")),
            ("a++a", "aaa", None),
            ("a*+b", "aaab", Some("aaab")),
            ("(?>a|ab)c", "abc", None),
            ("(?>ab|a)c", "abc", Some("abc")),
            ("a{2,3}+a", "aaa", None),
            ("a{2}", "aaa", Some("aa")),
            ("(a|ab)(c|bcd)", "abcd", Some("abcd")),
            ("(a*)*b", "aaab", Some("aaab")),
            ("(a|b)*?c", "abc", Some("abc")),
            ("x*", "aaa", Some("")),
            ("[a-z&&[^aeiou]]+", "aeibcd", Some("bcd")),
            ("[^a&&[ab]]", "ab", Some("b")),
            ("[a-c[x-z]]+", "dxaz", Some("xaz")),
            ("[]a]+", "b]a", Some("]a")),
            (r"\Qa.b\E+", "xa.bbb", Some("a.bbb")),
            ("(?i)ABC(?-i)d", "abcd", Some("abcd")),
            ("(?i:a)b", "Ab", Some("Ab")),
            ("(?i)é", "É", None),
            ("(?iu)é", "É", Some("É")),
            ("a.c", "a\nc", None),
            ("(?s)a.c", "a\nc", Some("a\nc")),
            ("(?m)^b$", "a\r\nb\r\nc", Some("b")),
            ("a$", "a\n", Some("a")),
            (r"a\z", "a\n", None),
            (r"a\Z", "a\n", Some("a")),
            (r"\Ab", "ab", None),
            (r"\d{3}(?=\D|$)", "12345", Some("345")),
            (r"\p{Lu}\p{javaLowerCase}+", "aBcd", Some("Bcd")),
            (r"[\w&&[^\d_]]+", "1a_b", Some("a")),
            (r"\x41\u0042\x{43}", "ABC", Some("ABC")),
            (r"\0101", "A", Some("A")),
            ("(?x) a b # c\n c", "abc", Some("abc")),
            (r"(a)?b\1", "b", None),
            ("(?=(a+))a*b\\1", "baaabac", Some("aba")),
            ("a??b", "ab", Some("ab")),
            ("(?<!^)b", "bb", Some("b")),
            ("😀(?=é)", "é😀é", Some("😀")),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(whole(pattern, text).as_deref(), expected, "{pattern} in {text}");
        }
    }

    #[test]
    fn groups_keep_what_they_matched_last() {
        let groups = |pattern, text| found(pattern, text).unwrap();
        let some = |text: &str| Some(text.to_string());
        assert_eq!(groups("(a)|(b)(?=c)", "bc"), [some("b"), None, some("b")]);
        assert_eq!(groups("(?:(a)|b)*+", "ab"), [some("ab"), some("a")]);
        assert_eq!(groups("(a+)(?=b)", "aab"), [some("aa"), some("aa")]);
        assert_eq!(groups("(?!(a))b", "b"), [some("b"), None]);
        assert_eq!(groups("(?=(a))(?:ab|ac)", "ac"), [some("ac"), some("a")]);
    }

    #[test]
    fn refuses_what_java_refuses() {
        for pattern in
            ["(", ")", "a**", "*", "[a", "[z-a]", "a{", "a{2,1}", "(?<=a+)b", r"\k<x>", "a\\", r"\y"]
        {
            assert!(matches!(Backtracking::new(pattern), Err(Fault::Malformed(_))), "{pattern}");
        }
        assert!(matches!(Backtracking::new("(?U)a"), Err(Fault::Unsupported(_))));
        assert!(matches!(Backtracking::new("((a{1000}){1000}){1000}"), Err(Fault::Unsupported(_))));
    }

    #[test]
    fn a_search_ends() {
        let regex = Backtracking::new(r"(?=.)(a+)+\1b").unwrap();
        let mut places = Places::default();
        assert_eq!(regex.find_at(&"a".repeat(40), 0, &mut places), Err(RunAway));
        assert_eq!(regex.find_at("aab", 0, &mut places), Ok(true));
        let deep = "a".repeat(200_000);
        assert_eq!(Backtracking::new("(?:a(?=a|$))*+").unwrap().find_at(&deep, 0, &mut places), Ok(true));
        assert_eq!(places.get(0), Some((0, deep.len())));
    }
}
