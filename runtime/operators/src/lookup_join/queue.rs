//! Lookups that are under way, and the watermarks between them.

use super::ask::Answer;
use std::collections::VecDeque;
use std::task::{Context, Poll};
use weir_types::{ChangelogBatch, LookupError, LookupRows, Watermark};

/// In the order of the input.
pub(super) struct Queue {
    ordered: bool,
    entries: VecDeque<Entry>,
    lookups: usize,
}

enum Entry {
    Asked(ChangelogBatch, Answer),
    Answered(ChangelogBatch, Result<LookupRows, LookupError>),
    Watermark(Watermark),
}

/// What can be handed on.
pub(super) enum Next {
    Rows(ChangelogBatch, Result<LookupRows, LookupError>),
    Watermark(Watermark),
}

impl Queue {
    pub fn new(ordered: bool) -> Self {
        Queue { ordered, entries: VecDeque::new(), lookups: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Lookups whose rows have not been handed on.
    pub fn lookups(&self) -> usize {
        self.lookups
    }

    pub fn asked(&mut self, batch: ChangelogBatch, answer: Answer) {
        self.lookups += 1;
        self.entries.push_back(Entry::Asked(batch, answer));
    }

    pub fn answered(&mut self, batch: ChangelogBatch, found: LookupRows) {
        self.lookups += 1;
        self.entries.push_back(Entry::Answered(batch, Ok(found)));
    }

    /// Of watermarks without rows between them only the last one counts.
    pub fn watermark(&mut self, watermark: Watermark) {
        if let Some(Entry::Watermark(last)) = self.entries.back_mut() {
            *last = watermark;
        } else {
            self.entries.push_back(Entry::Watermark(watermark));
        }
    }

    /// Ready once [`Queue::next`] has something.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for entry in &mut self.entries {
            if let Entry::Asked(batch, answer) = entry
                && let Poll::Ready(found) = answer.as_mut().poll(cx)
            {
                *entry = Entry::Answered(batch.clone(), found);
            }
        }
        if self.ready().is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// The place of what can be handed on: the first of all or, out of order, the first that is answered before the next
    /// watermark.
    fn ready(&self) -> Option<usize> {
        match self.entries.front()? {
            Entry::Answered(..) | Entry::Watermark(_) => return Some(0),
            Entry::Asked(..) if self.ordered => return None,
            Entry::Asked(..) => {}
        }
        let segment = self.entries.iter().take_while(|entry| !matches!(entry, Entry::Watermark(_)));
        segment.enumerate().find(|(_, entry)| matches!(entry, Entry::Answered(..))).map(|(place, _)| place)
    }

    pub fn next(&mut self) -> Option<Next> {
        let place = self.ready()?;
        match self.entries.remove(place)? {
            Entry::Answered(batch, found) => {
                self.lookups -= 1;
                Some(Next::Rows(batch, found))
            }
            Entry::Watermark(watermark) => Some(Next::Watermark(watermark)),
            Entry::Asked(..) => None,
        }
    }

    /// The rows of all lookups.
    pub fn batches(&self) -> Vec<ChangelogBatch> {
        let batch = |entry: &Entry| match entry {
            Entry::Asked(batch, _) | Entry::Answered(batch, _) => Some(batch.clone()),
            Entry::Watermark(_) => None,
        };
        self.entries.iter().filter_map(batch).collect()
    }
}
