//! The rows of one input that wait or stay, under their join key.

use crate::OperatorError;
use crate::distinct::{state_fields, time_field};
use crate::partitions::{kept_columns, kept_rows};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::SchemaRef;
use std::ops::Range;
use weir_state::{KeyedStateBackend, Namespace, StateDescriptor, StateId};
use weir_types::{SqlField, SqlType};

pub(super) const VOID: Namespace = Namespace::Void;

/// Fields of a row in the state: its time, what is noted of it, its columns but those of the key.
const TIME: usize = 0;
const MARK: usize = 1;
const FIRST: usize = 2;

pub(super) struct Buffer {
    pub(super) schema: SchemaRef,
    pub(super) keys: Vec<usize>,
    /// columns that are kept with a row
    kept: Vec<usize>,
    states: Option<(StateId, StateId)>,
}

/// Rows out of the state, those of one key after those of another.
pub(super) struct Loaded {
    pub(super) rows: RecordBatch,
    pub(super) slots: Vec<u32>,
    pub(super) times: Vec<i64>,
    pub(super) marks: Vec<u8>,
    /// where the rows of each key end
    ends: Vec<usize>,
}

impl Loaded {
    /// The rows of the key at this place.
    pub(super) fn of(&self, group: usize) -> Range<usize> {
        let start = if group == 0 { 0 } else { self.ends[group - 1] };
        start..self.ends[group]
    }
}

impl Buffer {
    pub(super) fn new(schema: SchemaRef, keys: Vec<usize>) -> Self {
        let kept = kept_columns(&schema, &keys);
        Buffer { schema, keys, kept, states: None }
    }

    /// Registers the list `name` under the entries of `parent`. `mark` is what is noted of a row.
    pub(super) fn open(
        &mut self,
        name: String,
        mark: &str,
        parent: StateId,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let leading = vec![time_field(false), SqlField::new(mark, SqlType::Boolean, false)];
        let fields = state_fields(leading, &self.kept, &self.schema)?;
        let rows = keyed.register_under(parent, StateDescriptor::list(name, fields))?;
        self.states = Some((parent, rows));
        Ok(())
    }

    fn states(&self) -> Result<(StateId, StateId), OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// Keeps rows `at` of `batch`; each of them has a parent, a time and a mark.
    pub(super) fn keep(
        &self,
        batch: &RecordBatch,
        at: Vec<u32>,
        (parents, times, marks): (&[u32], &[i64], &[u8]),
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        if at.is_empty() {
            return Ok(());
        }
        let state = self.states()?.1;
        let batch = match at.len() == batch.num_rows() {
            true => batch.clone(),
            false => take_record_batch(batch, &UInt32Array::from(at))?,
        };
        let mut slots = Vec::new();
        keyed.append_under(state, VOID, parents, &mut slots);
        let mut rows = keyed.rows(state, VOID);
        let (time, mark) = (rows.column::<i64>(TIME), rows.column::<u8>(MARK));
        for ((slot, at), noted) in slots.iter().zip(times).zip(marks) {
            time.set(*slot, *at);
            mark.set(*slot, *noted);
        }
        for (field, column) in self.kept.iter().enumerate() {
            rows.scatter(FIRST + field, &slots, batch.column(*column));
        }
        Ok(())
    }

    /// The rows under `parents` whose times are `wanted`, in the order of their arrival; of the parent at each place at most
    /// `most` of them.
    pub(super) fn load(
        &self,
        parents: &[u32],
        (wanted, most): (impl Fn(i64) -> bool, impl Fn(usize) -> usize),
        keyed: &mut KeyedStateBackend,
    ) -> Result<Loaded, OperatorError> {
        let (keys, state) = self.states()?;
        let (mut slots, mut ends, mut owners) = (Vec::new(), Vec::new(), Vec::new());
        let mut under = Vec::new();
        keyed.prefetch_under(state, VOID, parents);
        for (place, parent) in parents.iter().enumerate() {
            under.clear();
            keyed.entries_under(state, VOID, *parent, &mut under);
            let time = keyed.rows(state, VOID).column::<i64>(TIME);
            slots.extend(under.iter().copied().filter(|slot| wanted(time.get(*slot))).take(most(place)));
            owners.resize(slots.len(), *parent);
            ends.push(slots.len());
        }
        let owners = keyed.keys(keys, VOID, &owners);
        let owners: Vec<ArrayRef> = keyed.encoder(keys).decode(&owners)?;
        let rows = keyed.rows(state, VOID);
        let (time, mark) = (rows.column::<i64>(TIME), rows.column::<u8>(MARK));
        let times = slots.iter().map(|slot| time.get(*slot)).collect();
        let marks = slots.iter().map(|slot| mark.get(*slot)).collect();
        let rows = kept_rows(&self.schema, (&self.kept, FIRST), (&self.keys, &owners), &rows, &slots)?;
        Ok(Loaded { rows, slots, times, marks, ends })
    }

    /// Notes that these rows had a match.
    pub(super) fn mark(&self, slots: &[u32], keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        let marks = keyed.rows(self.states()?.1, VOID).column::<u8>(MARK);
        slots.iter().for_each(|slot| marks.set(*slot, 1));
        Ok(())
    }

    pub(super) fn delete(&self, slots: &[u32], keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        keyed.delete(self.states()?.1, VOID, slots);
        Ok(())
    }

    pub(super) fn has_rows(&self, parent: u32, keyed: &mut KeyedStateBackend) -> Result<bool, OperatorError> {
        Ok(keyed.has_entries_under(self.states()?.1, VOID, parent))
    }
}
