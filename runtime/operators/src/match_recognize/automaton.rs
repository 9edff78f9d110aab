//! A pattern as an automaton.
//!
//! Rows of a match follow each other without gaps, so a row either is taken by an edge or ends the match. Which edges a
//! state has, in which order they are tried, and which conditions they carry decides between several ways to match the
//! same rows; it is what Flink does:
//!
//! - An edge takes the row for a variable, or passes it on to another state, which then may take it.
//! - Behind a greedy variable, *all* edges of the state that follows carry the condition that the variable does not take
//!   the row. That state keeps the condition even where the greedy variable may take no further row (`A{1,3} B`).
//! - `?` is never greedy: both ways are followed.

use weir_types::PatternVariable;

/// A place in [`Automaton::states`].
pub(super) type StateNumber = u32;

/// The state in which a match is complete. Has no edges.
pub(super) const COMPLETE: StateNumber = 0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// for this variable, whose condition the row must meet
    Take(u32),
    Pass,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) action: Action,
    pub(super) to: StateNumber,
    /// variables whose condition the row must not meet
    pub(super) unless: Vec<u32>,
}

#[derive(Clone, Debug)]
pub(super) struct Automaton {
    pub(super) states: Vec<Vec<Edge>>,
    pub(super) start: StateNumber,
    /// for each variable the states behind its first, second and so on row; the last one is that behind all others
    behind: Vec<Vec<StateNumber>>,
}

impl Automaton {
    pub(super) fn new(variables: &[PatternVariable]) -> Self {
        let mut automaton =
            Automaton { states: vec![vec![]], start: COMPLETE, behind: vec![vec![]; variables.len()] };
        let mut next = COMPLETE;
        for (number, variable) in variables.iter().enumerate().rev() {
            next = automaton.add_variable(number as u32, variable, next);
        }
        automaton.start = next;
        automaton
    }

    fn add(&mut self, edges: Vec<Edge>) -> StateNumber {
        self.states.push(edges);
        (self.states.len() - 1) as StateNumber
    }

    /// The states of a variable in front of `next`; returns the one that waits for its first row.
    fn add_variable(&mut self, number: u32, variable: &PatternVariable, next: StateNumber) -> StateNumber {
        let edge = |action, to| Edge { action, to, unless: vec![] };
        let take = |to| edge(Action::Take(number), to);
        let is_question = (variable.min, variable.max) == (0, Some(1));
        let is_fixed = variable.max == Some(variable.min);
        if variable.greedy && !is_question && !is_fixed {
            for edge in &mut self.states[next as usize] {
                edge.unless.push(number);
            }
        }
        let least = variable.min.max(1);
        // States behind rows, from the last one backwards.
        let mut behind = vec![];
        let mut last = match variable.max {
            None => {
                let state = self.add(vec![]);
                self.states[state as usize] = vec![edge(Action::Pass, next), take(state)];
                state
            }
            Some(_) => next,
        };
        behind.push(last);
        for _ in least..variable.max.unwrap_or(least) {
            last = self.add(vec![take(last), edge(Action::Pass, next)]);
            behind.push(last);
        }
        for _ in 1..least {
            last = self.add(vec![take(last)]);
            behind.push(last);
        }
        behind.reverse();
        self.behind[number as usize] = behind;
        let mut first = vec![take(last)];
        if variable.min == 0 {
            first.push(edge(Action::Pass, next));
        }
        self.add(first)
    }

    /// The state of a match whose last variable with rows has so many.
    pub(super) fn state_behind(&self, variable: usize, rows: u32) -> StateNumber {
        let states = &self.behind[variable];
        states[(rows.max(1) as usize - 1).min(states.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable(name: &str, min: u32, max: Option<u32>, greedy: bool) -> PatternVariable {
        PatternVariable { name: name.to_string(), min, max, greedy, condition: None }
    }

    /// Edges in the order in which they are tried: `A>2!B` takes a row for the first variable unless the second would.
    fn text(automaton: &Automaton) -> Vec<String> {
        let letter = |variable: u32| char::from(b'A' + variable as u8);
        let edge = |edge: &Edge| {
            let action = match edge.action {
                Action::Take(variable) => letter(variable).to_string(),
                Action::Pass => String::new(),
            };
            let unless: String = edge.unless.iter().map(|v| format!("!{}", letter(*v))).collect();
            format!("{action}>{}{unless}", edge.to)
        };
        automaton.states.iter().map(|edges| edges.iter().map(edge).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_loop_passes_before_it_takes() {
        let automaton = Automaton::new(&[variable("A", 1, None, true), variable("B", 1, Some(1), true)]);
        assert_eq!(text(&automaton), ["", "B>0!A", ">1 A>2", "A>2"]);
        assert_eq!(automaton.start, 3);
        assert_eq!((automaton.state_behind(0, 1), automaton.state_behind(0, 9)), (2, 2));
        assert_eq!(automaton.state_behind(1, 1), COMPLETE);
    }

    #[test]
    fn counted_rows_have_a_state_each() {
        let automaton = Automaton::new(&[variable("A", 2, Some(3), false), variable("B", 1, Some(1), true)]);
        assert_eq!(text(&automaton), ["", "B>0", "A>1 >1", "A>2", "A>3"]);
        let behind = |rows| automaton.state_behind(0, rows);
        assert_eq!([behind(1), behind(2), behind(3)], [3, 2, 1]);
    }

    #[test]
    fn conditions_go_with_the_state_that_follows() {
        let all =
            [variable("A", 0, None, true), variable("B", 0, None, true), variable("C", 1, Some(1), true)];
        let automaton = Automaton::new(&all);
        assert_eq!(text(&automaton), ["", "C>0!B", ">1 B>2", "B>2!A >1!A", ">3 A>4", "A>4 >3"]);
    }

    #[test]
    fn an_option_is_not_greedy() {
        let automaton = Automaton::new(&[variable("A", 0, Some(1), true), variable("B", 1, Some(1), true)]);
        assert_eq!(text(&automaton), ["", "B>0", "A>1 >1"]);
    }
}
