//! Runs a program on a text.

use super::program::{Around, Assertion, Instruction, Program};
use super::set::Fold;

/// A search took more steps than it may.
#[derive(Debug, PartialEq)]
pub(in super::super) struct RunAway;

/// Where the groups of a match start and end, in bytes.
#[derive(Debug, Default)]
pub(in super::super) struct Places(Vec<Option<usize>>);

impl Places {
    /// `None` for a group that is not in the match, or not in the pattern.
    pub fn get(&self, group: usize) -> Option<(usize, usize)> {
        Some(((*self.0.get(group * 2)?)?, (*self.0.get(group * 2 + 1)?)?))
    }
}

/// What to do when a way turns out to lead nowhere: the last one first.
enum Retry {
    /// go on at an instruction with the text from a byte on
    Way(usize, usize),
    /// a slot gets its value back
    Slot(usize, Option<usize>),
}

struct Machine<'a> {
    program: &'a Program,
    text: &'a str,
    /// where the search began
    from: usize,
    slots: Vec<Option<usize>>,
    retries: Vec<Retry>,
    steps_left: u64,
}

pub(super) fn search(
    program: &Program,
    text: &str,
    from: usize,
    max_steps: u64,
    places: &mut Places,
) -> Result<bool, RunAway> {
    let mut machine = Machine {
        program,
        text,
        from,
        slots: std::mem::take(&mut places.0),
        retries: vec![],
        steps_left: max_steps,
    };
    let starts = text[from..].char_indices().map(|(at, _)| from + at).chain([text.len()]);
    let mut found = false;
    for start in starts {
        machine.slots.clear();
        machine.slots.resize(program.slots, None);
        machine.retries.clear();
        if let Some(end) = machine.run(0, start, None)? {
            (machine.slots[0], machine.slots[1]) = (Some(start), Some(end));
            found = true;
            break;
        }
    }
    places.0 = machine.slots;
    Ok(found)
}

impl Machine<'_> {
    /// The end of the first way through the instructions from `at` on to their `Accept`; with `target` ways that end
    /// elsewhere lead nowhere. Other ways are still there to be tried, above those that were there before.
    fn run(
        &mut self,
        mut at: usize,
        mut place: usize,
        target: Option<usize>,
    ) -> Result<Option<usize>, RunAway> {
        let (program, floor) = (self.program, self.retries.len());
        loop {
            self.steps_left = self.steps_left.checked_sub(1).ok_or(RunAway)?;
            let next = match &program.instructions[at] {
                Instruction::Accept if target.is_none_or(|target| target == place) => return Ok(Some(place)),
                Instruction::Accept => None,
                Instruction::Character(wanted, fold) => self.next(place, |found| fold.equal(*wanted, found)),
                Instruction::Set(set, fold) => self.next(place, |found| set.contains(found, *fold)),
                Instruction::Assert(assertion) => self.holds(*assertion, place).then_some(place),
                Instruction::Back(group, fold) => self.repeated(*group, *fold, place),
                Instruction::Save(slot) => {
                    self.save(*slot, Some(place));
                    Some(place)
                }
                Instruction::Split(first, second) => {
                    self.retries.push(Retry::Way(*second, place));
                    at = *first;
                    continue;
                }
                Instruction::Jump(target) => {
                    at = *target;
                    continue;
                }
                Instruction::LeaveUnmoved(slot, out) => {
                    at = if self.slots[*slot] == Some(place) { *out } else { at + 1 };
                    continue;
                }
                Instruction::Around(around, end) => {
                    let (around, end) = (*around, *end);
                    match self.around(around, at + 1, place)? {
                        Some(moved) => {
                            (at, place) = (end, moved);
                            continue;
                        }
                        None => None,
                    }
                }
            };
            match next {
                Some(moved) => (at, place) = (at + 1, moved),
                None => match self.retry(floor) {
                    Some(way) => (at, place) = way,
                    None => return Ok(None),
                },
            }
        }
    }

    /// The last way that is left above `floor`.
    fn retry(&mut self, floor: usize) -> Option<(usize, usize)> {
        while self.retries.len() > floor {
            match self.retries.pop() {
                Some(Retry::Way(at, place)) => return Some((at, place)),
                Some(Retry::Slot(slot, value)) => self.slots[slot] = value,
                None => break,
            }
        }
        None
    }

    fn save(&mut self, slot: usize, value: Option<usize>) {
        self.retries.push(Retry::Slot(slot, self.slots[slot]));
        self.slots[slot] = value;
    }

    /// The place behind the next character, if that is a wanted one.
    #[inline]
    fn next(&self, place: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
        let found = self.text[place..].chars().next()?;
        wanted(found).then_some(place + found.len_utf8())
    }

    /// The place behind another copy of what a group has.
    fn repeated(&self, group: usize, fold: Fold, place: usize) -> Option<usize> {
        let (start, end) = ((*self.slots.get(group * 2)?)?, (*self.slots.get(group * 2 + 1)?)?);
        let mut wanted = self.text.get(start..end)?.chars();
        wanted.try_fold(place, |place, wanted| self.next(place, |found| fold.equal(wanted, found)))
    }

    /// Where matching goes on behind an assertion or an atomic group whose instructions start at `at`; `None` if it fails.
    fn around(&mut self, around: Around, at: usize, place: usize) -> Result<Option<usize>, RunAway> {
        let floor = self.retries.len();
        let end = match around {
            Around::Behind { shortest, longest, .. } => self.behind(at, place, shortest, longest)?,
            _ => self.run(at, place, None)?,
        };
        let negated = match around {
            Around::Ahead { negated } | Around::Behind { negated, .. } => negated,
            Around::Atomic => false,
        };
        if negated {
            // What it has found is not to be seen outside of it.
            while self.retry(floor).is_some() {}
            return Ok(if end.is_none() { Some(place) } else { None });
        }
        let Some(end) = end else { return Ok(None) };
        // Its other ways are given up, its groups stay.
        let mut kept = floor;
        for index in floor..self.retries.len() {
            if matches!(self.retries[index], Retry::Slot(..)) {
                self.retries.swap(kept, index);
                kept += 1;
            }
        }
        self.retries.truncate(kept);
        Ok(Some(if around == Around::Atomic { end } else { place }))
    }

    /// Tries the places before `place` from which so many characters lead to it, the nearest first.
    fn behind(
        &mut self,
        at: usize,
        place: usize,
        shortest: usize,
        longest: usize,
    ) -> Result<Option<usize>, RunAway> {
        let text = self.text;
        let starts = text[..place].char_indices().rev().map(|(start, _)| start);
        let starts = std::iter::once(place).chain(starts).skip(shortest).take(longest - shortest + 1);
        for start in starts {
            if let Some(end) = self.run(at, start, Some(place))? {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }

    fn holds(&self, assertion: Assertion, place: usize) -> bool {
        let (before, behind) = self.text.split_at(place);
        let last = before.chars().next_back();
        let ends = |character: Option<char>, unix: bool| match character {
            Some('\n') => true,
            Some('\r' | '\u{85}' | '\u{2028}' | '\u{2029}') => !unix,
            _ => false,
        };
        let between = !behind.is_empty() && last == Some('\r') && behind.starts_with('\n');
        match assertion {
            Assertion::Start => place == 0,
            Assertion::End => behind.is_empty(),
            Assertion::SearchStart => place == self.from,
            // Java knows no line behind the last line terminator.
            Assertion::LineStart { unix } => {
                !behind.is_empty() && (place == 0 || ends(last, unix) && (unix || !between))
            }
            Assertion::LineEnd { unix } => {
                behind.is_empty() || ends(behind.chars().next(), unix) && (unix || !between)
            }
            Assertion::LastLineEnd { unix } => {
                let mut rest = behind.chars();
                let first = rest.next();
                let only = rest.as_str().is_empty() || (!unix && behind == "\r\n");
                behind.is_empty() || only && ends(first, unix) && (unix || !between)
            }
            Assertion::Word { negated } => {
                let is_word = |character: Option<char>| {
                    character.is_some_and(|character| character == '_' || character.is_alphanumeric())
                };
                (is_word(last) != is_word(behind.chars().next())) != negated
            }
        }
    }
}
