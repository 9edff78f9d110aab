//! Instructions that find matches.

use super::Fault;
use super::set::{Fold, Set};
use super::syntax::{Greed, Node, Pattern};

/// Instructions at most: repetitions with numbers are written out.
const MAX_INSTRUCTIONS: usize = 50_000;

/// Characters that a look-behind may go back at most.
const MAX_BEHIND: usize = 100_000;

#[derive(Debug)]
pub(super) enum Instruction {
    Character(char, Fold),
    Set(Set, Fold),
    Assert(Assertion),
    /// what a group has, once more
    Back(usize, Fold),
    /// the place into a slot
    Save(usize),
    /// the first way, and the second if that leads nowhere
    Split(usize, usize),
    Jump(usize),
    /// to the second if the place is that in the slot: a repetition that takes nothing ends
    LeaveUnmoved(usize, usize),
    /// What follows, up to its `Accept`, is matched by itself; then on at the second.
    Around(Around, usize),
    Accept,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Around {
    Ahead {
        negated: bool,
    },
    /// so many characters before
    Behind {
        negated: bool,
        shortest: usize,
        longest: usize,
    },
    /// the first way is the only one
    Atomic,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Assertion {
    /// of the text
    Start,
    End,
    /// `\G`
    SearchStart,
    LineStart {
        unix: bool,
    },
    LineEnd {
        unix: bool,
    },
    /// the end of the text, or before the line terminator at its end
    LastLineEnd {
        unix: bool,
    },
    /// `\b`
    Word {
        negated: bool,
    },
}

#[derive(Debug)]
pub(super) struct Program {
    pub instructions: Vec<Instruction>,
    /// Two for each group, then one for each repetition that might take nothing.
    pub slots: usize,
    pub groups: usize,
}

impl Program {
    pub fn new(pattern: &Pattern) -> Result<Program, Fault> {
        let mut program = Program { instructions: vec![], slots: pattern.groups * 2, groups: pattern.groups };
        program.node(&pattern.node)?;
        program.push(Instruction::Accept)?;
        Ok(program)
    }

    fn push(&mut self, instruction: Instruction) -> Result<usize, Fault> {
        if self.instructions.len() == MAX_INSTRUCTIONS {
            return Err(Fault::Unsupported("repetitions of this size".into()));
        }
        self.instructions.push(instruction);
        Ok(self.instructions.len() - 1)
    }

    fn node(&mut self, node: &Node) -> Result<(), Fault> {
        match node {
            Node::Character(character, fold) => {
                self.push(Instruction::Character(*character, *fold)).map(drop)
            }
            Node::Set(set, fold) => self.push(Instruction::Set(set.clone(), *fold)).map(drop),
            Node::Assert(assertion) => self.push(Instruction::Assert(*assertion)).map(drop),
            Node::Back(group, fold) => self.push(Instruction::Back(*group, *fold)).map(drop),
            Node::Sequence(nodes) => nodes.iter().try_for_each(|node| self.node(node)),
            Node::Either(branches) => self.either(branches),
            Node::Group(node, group) => {
                self.push(Instruction::Save(group * 2))?;
                self.node(node)?;
                self.push(Instruction::Save(group * 2 + 1)).map(drop)
            }
            Node::Around(node, around) => self.around(node, *around),
            Node::Repeat { node, least, most, greed: Greed::Possessive } => {
                let greedy =
                    Node::Repeat { node: node.clone(), least: *least, most: *most, greed: Greed::Greedy };
                self.around(&greedy, Around::Atomic)
            }
            Node::Repeat { node, least, most, greed } => self.repeat(node, *least, *most, *greed),
        }
    }

    fn either(&mut self, branches: &[Node]) -> Result<(), Fault> {
        let mut jumps = vec![];
        for (number, branch) in branches.iter().enumerate() {
            if number + 1 == branches.len() {
                self.node(branch)?;
                break;
            }
            let split = self.push(Instruction::Split(0, 0))?;
            self.node(branch)?;
            jumps.push(self.push(Instruction::Jump(0))?);
            self.instructions[split] = Instruction::Split(split + 1, self.instructions.len());
        }
        for jump in jumps {
            self.instructions[jump] = Instruction::Jump(self.instructions.len());
        }
        Ok(())
    }

    fn around(&mut self, node: &Node, around: Around) -> Result<(), Fault> {
        let around = match around {
            Around::Behind { negated, .. } => {
                let (shortest, longest) = lengths(node);
                let Some(longest) = longest.filter(|longest| *longest <= MAX_BEHIND) else {
                    let message = "the look-behind has no obvious maximum length";
                    return Err(Fault::Malformed(message.into()));
                };
                Around::Behind { negated, shortest, longest }
            }
            around => around,
        };
        let start = self.push(Instruction::Around(around, 0))?;
        self.node(node)?;
        self.push(Instruction::Accept)?;
        self.instructions[start] = Instruction::Around(around, self.instructions.len());
        Ok(())
    }

    fn repeat(&mut self, node: &Node, least: u32, most: Option<u32>, greed: Greed) -> Result<(), Fault> {
        for _ in 0..least {
            self.node(node)?;
        }
        let choice = |inside: usize, outside: usize| match greed {
            Greed::Lazy => Instruction::Split(outside, inside),
            _ => Instruction::Split(inside, outside),
        };
        let Some(most) = most else {
            let slot = self.slots;
            self.slots += 1;
            let split = self.push(Instruction::Jump(0))?;
            self.push(Instruction::Save(slot))?;
            self.node(node)?;
            let unmoved = self.push(Instruction::LeaveUnmoved(slot, 0))?;
            self.push(Instruction::Jump(split))?;
            let out = self.instructions.len();
            self.instructions[unmoved] = Instruction::LeaveUnmoved(slot, out);
            self.instructions[split] = choice(split + 1, out);
            return Ok(());
        };
        let mut splits = vec![];
        for _ in least..most {
            splits.push(self.push(Instruction::Jump(0))?);
            self.node(node)?;
        }
        let out = self.instructions.len();
        for split in splits {
            self.instructions[split] = choice(split + 1, out);
        }
        Ok(())
    }
}

/// Characters of the shortest match and of the longest; `None`: it may have any number, or one that is not known.
fn lengths(node: &Node) -> (usize, Option<usize>) {
    match node {
        Node::Character(..) | Node::Set(..) => (1, Some(1)),
        Node::Assert(_) => (0, Some(0)),
        Node::Around(node, Around::Atomic) | Node::Group(node, _) => lengths(node),
        Node::Around(..) => (0, Some(0)),
        Node::Back(..) => (0, None),
        Node::Sequence(nodes) => nodes.iter().map(lengths).fold((0, Some(0)), |(low, high), (min, max)| {
            (low.saturating_add(min), high.zip(max).map(|(high, max)| high.saturating_add(max)))
        }),
        Node::Either(branches) => {
            let both = |(low, high): (usize, Option<usize>), (min, max): (usize, Option<usize>)| {
                (low.min(min), high.zip(max).map(|(high, max)| high.max(max)))
            };
            branches.iter().map(lengths).reduce(both).unwrap_or((0, Some(0)))
        }
        Node::Repeat { node, least, most, .. } => {
            let (min, max) = lengths(node);
            let times = |count: u32, length: usize| length.saturating_mul(count as usize);
            (times(*least, min), max.zip(*most).map(|(max, most)| times(most, max)))
        }
    }
}
