//! Lists of rows under entries for their keys, of which a batch loads those that it touches: what Top-N, OVER in any order and
//! the rows behind a sink's primary key share.

use crate::distinct::state_fields;
use crate::grouping::Grouping;
use crate::partitions::resolve_keys;
use crate::{OperatorContext, OperatorError};
use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Schema;
use weir_state::{KeyedStateBackend, Namespace, NamespaceKind, Rows, Slots, StateDescriptor, StateId};
use weir_types::SqlField;

const VOID: Namespace = Namespace::Void;

pub(crate) struct KeptLists {
    /// columns of the input that tell lists apart
    keys: Vec<usize>,
    /// columns of the input that are kept with a row
    pub(crate) kept: Vec<usize>,
    /// entries of lists, and rows under them
    states: Option<(StateId, StateId)>,
    found: Slots,
    /// the lists that the last batch touched
    pub(crate) grouping: Grouping,
}

/// Rows of the lists that a batch touches, list after list.
pub(crate) struct Loaded {
    pub(crate) slots: Vec<u32>,
    /// where the rows of each list end
    pub(crate) ends: Vec<usize>,
}

impl Loaded {
    /// The entries of a List or Map state under each of `parents`.
    pub(crate) fn under(state: StateId, parents: &[u32], keyed: &mut KeyedStateBackend) -> Loaded {
        let mut loaded = Loaded { slots: Vec::new(), ends: Vec::with_capacity(parents.len()) };
        keyed.prefetch_under(state, VOID, parents);
        for parent in parents {
            keyed.entries_under(state, VOID, *parent, &mut loaded.slots);
            loaded.ends.push(loaded.slots.len());
        }
        loaded
    }

    /// The places of each list's rows in `slots`.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| start..*end)
    }
}

impl KeptLists {
    pub(crate) fn new(keys: &[usize], kept: Vec<usize>) -> Self {
        KeptLists {
            keys: keys.to_vec(),
            kept,
            states: None,
            found: Slots::default(),
            grouping: Grouping::default(),
        }
    }

    /// Registers the state `operator/lists`, with `values` for each list, and `operator/rows` under it.
    pub(crate) fn open(
        &mut self,
        (operator, lists): (&str, &str),
        values: Vec<SqlField>,
        ttl_ms: Option<u64>,
        input: &Schema,
        context: &mut OperatorContext,
    ) -> Result<(), OperatorError> {
        let fields = |columns: &[usize]| state_fields(Vec::new(), columns, input);
        let keys = fields(&self.keys)?;
        let lists = StateDescriptor::value(format!("{operator}/{lists}"), keys, NamespaceKind::Void, values);
        let lists = context.keyed.register(lists.with_ttl_ms(ttl_ms))?;
        let rows = StateDescriptor::list(format!("{operator}/rows"), fields(&self.kept)?);
        self.states = Some((lists, context.keyed.register_under(lists, rows)?));
        Ok(())
    }

    /// The states of lists and of their rows.
    pub(crate) fn states(&self) -> Result<(StateId, StateId), OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// The rows of all lists.
    pub(crate) fn rows<'b>(&self, keyed: &'b mut KeyedStateBackend) -> Result<Rows<'b>, OperatorError> {
        Ok(keyed.rows(self.states()?.1, VOID))
    }

    /// The field of a row that `column` of the input is kept in.
    pub(crate) fn field(&self, column: usize) -> Result<usize, OperatorError> {
        let field = self.kept.iter().position(|kept| *kept == column);
        field.ok_or_else(|| OperatorError::internal(format!("column {column} is not kept with a row")))
    }

    /// Finds the list of each row of `batch`: `grouping` has them then. Those that do not exist are made.
    pub(crate) fn resolve(
        &mut self,
        batch: &RecordBatch,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let lists = self.states()?.0;
        resolve_keys(keyed, lists, &self.keys, batch, &mut self.found)?;
        match self.keys.is_empty() {
            true => self.grouping.all_in_one(self.found.slots[0], batch.num_rows()),
            false => self.grouping.group(&self.found.slots),
        }
        Ok(())
    }

    /// The rows of the lists of `grouping`, each list in the order of arrival.
    pub(crate) fn load(&self, keyed: &mut KeyedStateBackend) -> Result<Loaded, OperatorError> {
        Ok(Loaded::under(self.states()?.1, &self.grouping.slots, keyed))
    }

    /// The same, none for lists that are not `wanted`.
    pub(crate) fn load_some(
        &self,
        wanted: &[bool],
        keyed: &mut KeyedStateBackend,
    ) -> Result<Loaded, OperatorError> {
        let lists = self.grouping.slots.iter().zip(wanted);
        let read: Vec<u32> = lists.filter(|(_, wanted)| **wanted).map(|(list, _)| *list).collect();
        let Loaded { slots, ends: read } = Loaded::under(self.states()?.1, &read, keyed);
        let (mut read, mut end) = (read.into_iter(), 0);
        let mut ends = Vec::with_capacity(wanted.len());
        for wanted in wanted {
            if *wanted {
                end = read.next().unwrap_or(end);
            }
            ends.push(end);
        }
        Ok(Loaded { slots, ends })
    }

    /// Appends the rows `places` of `batch`, each to the list of the slot in `parents`.
    pub(crate) fn append(
        &self,
        batch: &RecordBatch,
        places: Vec<u32>,
        parents: &[u32],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let places = UInt32Array::from(places);
        let columns = self.kept.iter().map(|column| take(batch.column(*column), &places, None));
        self.append_columns(&columns.collect::<Result<Vec<_>, _>>()?, parents, keyed)
    }

    /// The same of rows that are given as the columns that are kept.
    pub(crate) fn append_columns(
        &self,
        columns: &[ArrayRef],
        parents: &[u32],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let state = self.states()?.1;
        let mut slots = Vec::new();
        keyed.append_under(state, VOID, parents, &mut slots);
        let mut rows = keyed.rows(state, VOID);
        for (field, column) in columns.iter().enumerate() {
            rows.scatter(field, &slots, column);
        }
        Ok(())
    }

    /// Deletes rows, and the lists of `grouping` that have none.
    pub(crate) fn delete(&self, gone: &[u32], keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        let (lists, rows) = self.states()?;
        keyed.delete(rows, VOID, gone);
        let touched = self.grouping.slots.iter().copied();
        let empty: Vec<u32> = touched.filter(|list| !keyed.has_entries_under(rows, VOID, *list)).collect();
        keyed.delete(lists, VOID, &empty);
        Ok(())
    }
}
