//! The matches of one partition, and what a row does to them.

use super::automaton::{Action, Automaton, COMPLETE, Edge, StateNumber};
use super::conditions::Conditions;
use super::heap::{Heap, Item};
use crate::OperatorError;
use std::ops::Range;
use weir_types::{AfterMatch, MatchRow, MatchRows, MatchSpec};

/// Where the match begins that has no row yet.
const NOWHERE: u64 = u64::MAX;

/// Matches, each as the place of its first row and the number of its rows for each variable: its rows follow each other
/// without gaps, and those of a variable those of the variable before it.
#[derive(Debug, Default)]
pub(super) struct Matches {
    variables: usize,
    begins: Vec<u32>,
    states: Vec<StateNumber>,
    runs: Vec<u32>,
}

impl Matches {
    pub(super) fn new(variables: usize) -> Self {
        Matches { variables, ..Matches::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.begins.len()
    }

    pub(super) fn clear(&mut self) {
        self.begins.clear();
        self.states.clear();
        self.runs.clear();
    }

    fn push(&mut self, begins: u32, state: StateNumber, runs: &[u32]) -> Item {
        let number = self.begins.len() as u32;
        self.begins.push(begins);
        self.states.push(state);
        self.runs.extend_from_slice(runs);
        Item { begins: u64::from(begins), number }
    }

    pub(super) fn begins(&self, number: usize) -> u32 {
        self.begins[number]
    }

    pub(super) fn runs(&self, number: usize) -> &[u32] {
        &self.runs[number * self.variables..(number + 1) * self.variables]
    }
}

/// The places of some rows of a match.
pub(super) fn places_of(rows: MatchRows, begins: u32, runs: &[u32]) -> Range<u32> {
    match rows {
        MatchRows::All => begins..begins + runs.iter().sum::<u32>(),
        MatchRows::Variable(variable) => {
            let start = begins + runs[..variable].iter().sum::<u32>();
            start..start + runs[variable]
        }
    }
}

/// The place of a row of a match, if there is such a row.
pub(super) fn place_of(row: MatchRow, begins: u32, runs: &[u32]) -> Option<u32> {
    let places = places_of(row.rows, begins, runs);
    if row.offset >= places.end - places.start {
        return None;
    }
    Some(if row.from_first { places.start + row.offset } else { places.end - 1 - row.offset })
}

/// Matches that were found, with the time of each.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) matches: Matches,
    pub(super) times: Vec<i64>,
}

/// Finds the matches of one partition after the other.
pub(super) struct Matcher {
    automaton: Automaton,
    after: AfterMatch,
    names: Vec<String>,
    within_ms: Option<i64>,
    /// matches that wait for further rows, and the one that has none
    partial: Heap,
    partial_table: Matches,
    /// matches that are complete but for an earlier one that may yet rule them out
    complete: Heap,
    complete_table: Matches,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    partial: Heap,
    partial_table: Matches,
    reached: Heap,
    states: Vec<StateNumber>,
    takes: Vec<(u32, StateNumber)>,
    runs: Vec<u32>,
    /// the rows of a match that has none
    none: Vec<u32>,
}

impl Matcher {
    pub(super) fn new(spec: &MatchSpec) -> Self {
        let variables = spec.variables.len();
        let scratch = Scratch {
            partial_table: Matches::new(variables),
            none: vec![0; variables],
            ..Scratch::default()
        };
        Matcher {
            automaton: Automaton::new(&spec.variables),
            after: spec.after,
            names: spec.variables.iter().map(|variable| variable.name.clone()).collect(),
            within_ms: spec.within_ms,
            partial: Heap::default(),
            partial_table: Matches::new(variables),
            complete: Heap::default(),
            complete_table: Matches::new(variables),
            scratch,
        }
    }

    /// Starts with a partition that has no matches.
    pub(super) fn begin_partition(&mut self) {
        self.partial.clear();
        self.partial_table.clear();
        self.complete.clear();
        self.complete_table.clear();
    }

    /// A match that the partition had before, in the order of [`Matcher::kept`].
    pub(super) fn restore(&mut self, begins: Option<u32>, runs: &[u32], is_complete: bool) {
        let Some(begins) = begins else {
            self.partial.push(Item { begins: NOWHERE, number: 0 });
            return;
        };
        if is_complete {
            let item = self.complete_table.push(begins, COMPLETE, runs);
            self.complete.push(item);
            return;
        }
        let last = runs.iter().rposition(|rows| *rows > 0).unwrap_or(0);
        let state = self.automaton.state_behind(last, runs[last]);
        let item = self.partial_table.push(begins, state, runs);
        self.partial.push(item);
    }

    /// A partition has one match without rows at any time.
    pub(super) fn ensure_start(&mut self) {
        if !self.partial.items().iter().any(|item| item.begins == NOWHERE) {
            self.partial.push(Item { begins: NOWHERE, number: 0 });
        }
    }

    /// What is to be kept of the partition, in the order in which [`Matcher::restore`] is to get it: the place of the first
    /// row, the rows of each variable, and whether the match is complete. The match without rows, which has no first row,
    /// is left out where it is the last of those that wait.
    pub(super) fn kept(&self) -> impl Iterator<Item = (Option<u32>, &[u32], bool)> {
        let mut partial = self.partial.items();
        if let [before @ .., last] = partial
            && last.begins == NOWHERE
        {
            partial = before;
        }
        let partial = partial.iter().map(|item| match item.begins {
            NOWHERE => (None, &self.scratch.none[..], false),
            _ => (Some(item.begins as u32), self.partial_table.runs(item.number as usize), false),
        });
        let complete = self.complete.items().iter();
        let complete = complete
            .map(|item| (Some(item.begins as u32), self.complete_table.runs(item.number as usize), true));
        partial.chain(complete)
    }

    /// The place of the first row that a match has.
    pub(super) fn first_place(&self) -> Option<u32> {
        let first = |heap: &Heap| heap.peek().map(|item| item.begins).filter(|begins| *begins != NOWHERE);
        let places = [first(&self.partial), first(&self.complete)];
        places.into_iter().flatten().min().map(|place| place as u32)
    }

    /// The place of the first row of a match that waits for further ones.
    pub(super) fn first_partial_place(&self) -> Option<u32> {
        self.partial
            .peek()
            .map(|item| item.begins)
            .filter(|begins| *begins != NOWHERE)
            .map(|place| place as u32)
    }

    /// Time has come to `time`: matches that would take too long are gone.
    pub(super) fn advance(
        &mut self,
        time: i64,
        times: &[i64],
        found: &mut Found,
    ) -> Result<(), OperatorError> {
        let Some(within) = self.within_ms else { return Ok(()) };
        let late = |item: &Item| {
            item.begins != NOWHERE && time.saturating_sub(times[item.begins as usize]) >= within
        };
        if !self.partial.peek().is_some_and(|first| late(&first)) {
            return Ok(());
        }
        let next = &mut self.scratch.partial;
        next.clear();
        self.partial.items().iter().filter(|item| !late(item)).for_each(|item| next.push(*item));
        std::mem::swap(&mut self.partial, next);
        self.give(time, found)
    }

    /// The row at `place`, of `time`, comes.
    pub(super) fn row(
        &mut self,
        place: u32,
        time: i64,
        conditions: &mut Conditions<'_>,
        found: &mut Found,
    ) -> Result<(), OperatorError> {
        let Scratch { partial: next, partial_table: next_table, reached, states, takes, runs, none } =
            &mut self.scratch;
        next.clear();
        next_table.clear();
        reached.clear();
        for item in self.partial.items() {
            let (begins, state, before) = match item.begins {
                NOWHERE => (place, self.automaton.start, &none[..]),
                begins => {
                    let number = item.number as usize;
                    (begins as u32, self.partial_table.states[number], self.partial_table.runs(number))
                }
            };
            let automaton = &self.automaton;
            let mut step = Step { automaton, conditions, begins, runs: before, place };
            step.takes(state, states, takes)?;
            for (variable, to) in takes.iter().copied() {
                runs.clear();
                runs.extend_from_slice(before);
                runs[variable as usize] += 1;
                if to == COMPLETE {
                    reached.push(self.complete_table.push(begins, to, runs));
                    continue;
                }
                next.push(next_table.push(begins, to, runs));
                if step.may_end(to, states)? {
                    reached.push(self.complete_table.push(begins, COMPLETE, runs));
                }
            }
            if item.begins == NOWHERE {
                next.push(*item);
            }
        }
        std::mem::swap(&mut self.partial, next);
        std::mem::swap(&mut self.partial_table, next_table);
        if self.scratch.reached.is_empty() && self.complete.is_empty() {
            return Ok(());
        }
        for item in self.scratch.reached.items() {
            self.complete.push(*item);
        }
        self.give(time, found)
    }

    /// Hands out complete matches that no earlier one can rule out any more, and takes away what they rule out.
    fn give(&mut self, time: i64, found: &mut Found) -> Result<(), OperatorError> {
        while let Some(first) = self.complete.peek() {
            if self.partial.peek().is_some_and(|partial| first.begins > partial.begins) {
                return Ok(());
            }
            self.complete.pop();
            let runs = self.complete_table.runs(first.number as usize);
            let begins = first.begins as u32;
            let resumes = self.resumes(begins, runs)?;
            let gone = |item: &Item| item.begins < resumes;
            self.partial.remove(gone);
            self.complete.remove(gone);
            found.matches.push(begins, COMPLETE, runs);
            found.times.push(time);
        }
        self.complete_table.clear();
        Ok(())
    }

    /// The place before which no match may begin after this one.
    fn resumes(&self, begins: u32, runs: &[u32]) -> Result<u64, OperatorError> {
        let (variable, from_first) = match self.after {
            AfterMatch::SkipPastLastRow => {
                return Ok(u64::from(places_of(MatchRows::All, begins, runs).end));
            }
            AfterMatch::SkipToNextRow => return Ok(u64::from(begins) + 1),
            AfterMatch::SkipToFirst(variable) => (variable, true),
            AfterMatch::SkipToLast(variable) => (variable, false),
        };
        let name = &self.names[variable];
        let end = if from_first { "FIRST" } else { "LAST" };
        let fail = |why: &str| {
            OperatorError::Evaluation(format!(
                "AFTER MATCH SKIP TO {end} {name} of MATCH_RECOGNIZE: {why}, so the next match has no row to begin with; \
                 skip to another variable, TO NEXT ROW or PAST LAST ROW"
            ))
        };
        let row = MatchRow { rows: MatchRows::Variable(variable), from_first, offset: 0 };
        match place_of(row, begins, runs) {
            None => Err(fail(&format!("a match has no row of {name}"))),
            Some(place) if place == begins => {
                Err(fail(&format!("the row of {name} is the one that the match began with")))
            }
            Some(place) => Ok(u64::from(place)),
        }
    }
}

/// One match that meets one row.
struct Step<'a, 'b> {
    automaton: &'a Automaton,
    conditions: &'a mut Conditions<'b>,
    begins: u32,
    runs: &'a [u32],
    place: u32,
}

impl Step<'_, '_> {
    fn is_open(&mut self, edge: &Edge) -> Result<bool, OperatorError> {
        if let Action::Take(variable) = edge.action
            && !self.conditions.takes(variable, self.begins, self.runs, self.place)?
        {
            return Ok(false);
        }
        for variable in &edge.unless {
            if self.conditions.takes(*variable, self.begins, self.runs, self.place)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The variables for which the row can be taken, each with the state behind it.
    fn takes(
        &mut self,
        state: StateNumber,
        states: &mut Vec<StateNumber>,
        takes: &mut Vec<(u32, StateNumber)>,
    ) -> Result<(), OperatorError> {
        takes.clear();
        states.clear();
        states.push(state);
        while let Some(state) = states.pop() {
            for edge in &self.automaton.states[state as usize] {
                if self.is_open(edge)? {
                    match edge.action {
                        Action::Take(variable) => takes.push((variable, edge.to)),
                        Action::Pass => states.push(edge.to),
                    }
                }
            }
        }
        Ok(())
    }

    /// True if a match in `state` needs no further row.
    fn may_end(&mut self, state: StateNumber, states: &mut Vec<StateNumber>) -> Result<bool, OperatorError> {
        states.clear();
        states.push(state);
        while let Some(state) = states.pop() {
            for edge in &self.automaton.states[state as usize] {
                if edge.action == Action::Pass && self.is_open(edge)? {
                    if edge.to == COMPLETE {
                        return Ok(true);
                    }
                    states.push(edge.to);
                }
            }
        }
        Ok(false)
    }
}
