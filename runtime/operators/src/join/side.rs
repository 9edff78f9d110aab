//! The rows of one input of a join, kept by their join key.

use crate::OperatorError;
use crate::accumulators::ROWS_FIELD;
use crate::distinct::state_fields;
use crate::partitions::kept_columns;
use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use weir_state::{KeyedStateBackend, NO_SLOT, Namespace, NamespaceKind, Slots, StateDescriptor, StateId};
use weir_types::{ChangelogBatch, EncodedKeys, SqlField, SqlType};

const VOID: Namespace = Namespace::Void;

/// How rows hang under their key.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Layout {
    /// Rows only come: a list, with equal rows side by side.
    Appended,
    /// Rows go as well: a map by the row, which counts equal ones.
    Counted,
    /// Rows go, or are replaced, by these columns: a map by them.
    Unique(Vec<usize>),
}

/// Where a stored row has one of its columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// it is a column of the join key
    Key(usize),
    MapKey(usize),
    Field(usize),
}

/// What one side of a join needs to be known by.
pub(super) struct SideSpec {
    /// `left` or `right`
    pub(super) name: &'static str,
    pub(super) schema: SchemaRef,
    pub(super) keys: Vec<usize>,
    pub(super) retracts: bool,
    /// columns by which rows are told apart, if there are such
    pub(super) unique: Option<Vec<usize>>,
    /// how many rows of the other side match each row is kept with it
    pub(super) counts_matches: bool,
}

/// Rows of one input. Under the entry of a join key hang its rows; columns of the key are not kept again with them.
pub(super) struct Side {
    pub(super) spec: SideSpec,
    layout: Layout,
    places: Vec<Place>,
    /// fields of a row: count, matches, columns
    count_field: Option<usize>,
    matches_field: Option<usize>,
    /// columns of the map key and of the fields
    map_columns: Vec<usize>,
    field_columns: Vec<usize>,
    states: Option<(StateId, StateId)>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    parents: Slots,
    found: Slots,
    slots: Vec<u32>,
}

impl Side {
    pub(super) fn new(spec: SideSpec) -> Self {
        let others = kept_columns(&spec.schema, &spec.keys);
        let layout = match (&spec.unique, spec.retracts) {
            (_, false) => Layout::Appended,
            (Some(unique), true) => Layout::Unique(unique.clone()),
            (None, true) => Layout::Counted,
        };
        let (map_columns, field_columns): (Vec<usize>, Vec<usize>) = match &layout {
            Layout::Appended => (Vec::new(), others),
            Layout::Counted => (others, Vec::new()),
            Layout::Unique(unique) => others.into_iter().partition(|column| unique.contains(column)),
        };
        let count_field = (layout == Layout::Counted).then_some(0);
        let leading = usize::from(count_field.is_some());
        let matches_field = spec.counts_matches.then_some(leading);
        let first = leading + usize::from(matches_field.is_some());
        let place = |column: usize| {
            let within = |columns: &[usize]| columns.iter().position(|known| *known == column);
            match (within(&spec.keys), within(&map_columns)) {
                (Some(key), _) => Place::Key(key),
                (None, Some(key)) => Place::MapKey(key),
                (None, None) => Place::Field(first + within(&field_columns).unwrap_or(0)),
            }
        };
        let places = (0..spec.schema.fields().len()).map(place).collect();
        Side {
            spec,
            layout,
            places,
            count_field,
            matches_field,
            map_columns,
            field_columns,
            states: None,
            scratch: Scratch::default(),
        }
    }

    pub(super) fn open(
        &mut self,
        operator: &str,
        ttl_ms: Option<u64>,
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let SideSpec { name, schema, .. } = &self.spec;
        let fields = |columns: &[usize]| state_fields(Vec::new(), columns, schema);
        let keys = StateDescriptor::value(
            format!("{operator}/{name}-keys"),
            fields(&self.spec.keys)?,
            NamespaceKind::Void,
            Vec::new(),
        );
        let keys = keyed.register(keys.with_ttl_ms(ttl_ms))?;
        let number = |name: &str| SqlField::new(name, SqlType::BigInt, false);
        let mut values = Vec::new();
        values.extend(self.count_field.map(|_| number(ROWS_FIELD)));
        values.extend(self.matches_field.map(|_| number("matches")));
        let values = state_fields(values, &self.field_columns, schema)?;
        let state = format!("{operator}/{name}");
        let rows = match self.layout {
            Layout::Appended => StateDescriptor::list(state, values),
            _ => StateDescriptor::map(state, fields(&self.map_columns)?, values),
        };
        self.states = Some((keys, keyed.register_under(keys, rows)?));
        Ok(())
    }

    fn states(&self) -> Result<(StateId, StateId), OperatorError> {
        self.states.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// The join keys of rows of this side.
    pub(super) fn encode(
        &self,
        rows: &RecordBatch,
        keyed: &KeyedStateBackend,
    ) -> Result<EncodedKeys, OperatorError> {
        let columns: Vec<ArrayRef> = self.spec.keys.iter().map(|key| rows.column(*key).clone()).collect();
        Ok(keyed.encoder(self.states()?.0).encode(&columns, rows.num_rows())?)
    }

    /// The slots of keys among this side's.
    pub(super) fn lookup(
        &self,
        keys: &EncodedKeys,
        keyed: &mut KeyedStateBackend,
        out: &mut Vec<u32>,
    ) -> Result<(), OperatorError> {
        keyed.lookup(self.states()?.0, VOID, keys, out);
        Ok(())
    }

    /// The rows under these keys are going to be asked for.
    pub(super) fn prefetch(&self, keys: &[u32], keyed: &mut KeyedStateBackend) -> Result<(), OperatorError> {
        keyed.prefetch_under(self.states()?.1, VOID, keys);
        Ok(())
    }

    /// Appends the rows under a key.
    pub(super) fn rows_of(
        &self,
        key: u32,
        keyed: &mut KeyedStateBackend,
        out: &mut Vec<u32>,
    ) -> Result<(), OperatorError> {
        keyed.entries_under(self.states()?.1, VOID, key, out);
        Ok(())
    }

    /// Each of `columns` of the rows at `slots`; those of the join key are taken from `keys`, whose row `at[i]` has the
    /// key of `slots[i]`.
    pub(super) fn gather(
        &self,
        slots: &[u32],
        columns: &[usize],
        (keys, at): (&[ArrayRef], &UInt32Array),
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<ArrayRef>, OperatorError> {
        let rows_state = self.states()?.1;
        let from_map_key = columns.iter().any(|column| matches!(self.places[*column], Place::MapKey(_)));
        let map_keys = match from_map_key {
            true => {
                let encoded = keyed.keys(rows_state, VOID, slots);
                keyed.encoder(rows_state).decode(&encoded)?
            }
            false => Vec::new(),
        };
        let rows = keyed.rows(rows_state, VOID);
        let column = |column: &usize| -> Result<ArrayRef, OperatorError> {
            Ok(match self.places[*column] {
                Place::Key(key) => take(&keys[key], at, None)?,
                Place::MapKey(key) => map_keys[key].clone(),
                Place::Field(field) => rows.gather(field, slots)?,
            })
        };
        columns.iter().map(column).collect()
    }

    /// How many equal rows an entry stands for.
    pub(super) fn counts(
        &self,
        slots: &[u32],
        keyed: &mut KeyedStateBackend,
    ) -> Result<Option<Vec<i64>>, OperatorError> {
        let Some(field) = self.count_field else { return Ok(None) };
        let counts = keyed.rows(self.states()?.1, VOID).column::<i64>(field);
        Ok(Some(slots.iter().map(|slot| counts.get(*slot)).collect()))
    }

    /// Calls `change` with the number of matches of each row at `slots`, one after the other, and keeps what it returns.
    pub(super) fn update_matches(
        &self,
        slots: &[u32],
        keyed: &mut KeyedStateBackend,
        mut change: impl FnMut(usize, i64) -> i64,
    ) -> Result<(), OperatorError> {
        let Some(field) = self.matches_field else {
            return Err(OperatorError::internal("the matches of a side that does not count them"));
        };
        let matches = keyed.rows(self.states()?.1, VOID).column::<i64>(field);
        for (place, slot) in slots.iter().enumerate() {
            matches.update(*slot, |count| change(place, count));
        }
        Ok(())
    }

    /// Adds and takes out rows, one after the other. `batch` has all rows, `at` those that are to be kept; `keys` and
    /// `matches` have one entry for each of `at`.
    pub(super) fn apply(
        &mut self,
        batch: &ChangelogBatch,
        at: &[u32],
        keys: &EncodedKeys,
        matches: &[i64],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        if at.is_empty() {
            return Ok(());
        }
        let (keys_state, rows_state) = self.states()?;
        keyed.resolve(keys_state, VOID, keys, &mut self.scratch.parents);
        if self.layout == Layout::Appended {
            return self.append(batch, at, matches, keyed);
        }
        let places = UInt32Array::from(at.to_vec());
        let columns = self.map_columns.iter().map(|column| take(batch.rows().column(*column), &places, None));
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let map_keys = keyed.encoder(rows_state).encode(&columns, at.len())?;
        let Scratch { parents, found, .. } = &mut self.scratch;
        keyed.resolve_under(rows_state, VOID, &parents.slots, &map_keys, found);
        let mut gone = match self.layout {
            Layout::Counted => self.count(batch, at, matches, keyed)?,
            _ => self.replace(batch, at, matches, keyed)?,
        };
        gone.sort_unstable();
        gone.dedup();
        if gone.is_empty() {
            return Ok(());
        }
        let mut idle = keyed.parents(rows_state, VOID, &gone);
        keyed.delete(rows_state, VOID, &gone);
        idle.sort_unstable();
        idle.dedup();
        idle.retain(|parent| !keyed.has_entries_under(rows_state, VOID, *parent));
        keyed.delete(keys_state, VOID, &idle);
        Ok(())
    }

    fn append(
        &mut self,
        batch: &ChangelogBatch,
        at: &[u32],
        matches: &[i64],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let rows_state = self.states()?.1;
        let Scratch { parents, slots, .. } = &mut self.scratch;
        keyed.append_under(rows_state, VOID, &parents.slots, slots);
        let slots = std::mem::take(slots);
        let all: Vec<u32> = (0..at.len() as u32).collect();
        self.write(batch, at, &all, &slots, matches, keyed)?;
        self.scratch.slots = slots;
        Ok(())
    }

    /// Writes the rows `batch[at[which[i]]]` to `slots[i]`.
    fn write(
        &self,
        batch: &ChangelogBatch,
        at: &[u32],
        which: &[u32],
        slots: &[u32],
        matches: &[i64],
        keyed: &mut KeyedStateBackend,
    ) -> Result<(), OperatorError> {
        let mut rows = keyed.rows(self.states()?.1, VOID);
        if let Some(field) = self.matches_field {
            let column = rows.column::<i64>(field);
            slots.iter().zip(which).for_each(|(slot, which)| column.set(*slot, matches[*which as usize]));
        }
        let places = UInt32Array::from_iter_values(which.iter().map(|which| at[*which as usize]));
        // In the order of slots rows may stand in another order than they came.
        let whole = which.len() == batch.num_rows() && places.values().is_sorted();
        for column in &self.field_columns {
            let Place::Field(field) = self.places[*column] else { continue };
            let values = batch.rows().column(*column);
            let values = if whole { values.clone() } else { take(values, &places, None)? };
            rows.scatter(field, slots, &values);
        }
        Ok(())
    }

    /// Counts equal rows up and down; returns the entries of which none is left. A row that is taken back and was not
    /// there is forgotten: its state has expired.
    fn count(
        &mut self,
        batch: &ChangelogBatch,
        at: &[u32],
        matches: &[i64],
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<u32>, OperatorError> {
        let rows = keyed.rows(self.states()?.1, VOID);
        let counts = rows.column::<i64>(self.count_field.unwrap_or(0));
        let matches_column = self.matches_field.map(|field| rows.column::<i64>(field));
        let mut touched = Vec::new();
        for ((row, slot), matches) in at.iter().zip(&self.scratch.found.slots).zip(matches) {
            if batch.kind(*row as usize).is_retraction() {
                counts.update(*slot, |count| (count - 1).max(0));
                touched.push(*slot);
            } else {
                counts.update(*slot, |count| count + 1);
                if let Some(column) = &matches_column {
                    column.set(*slot, *matches);
                }
            }
        }
        touched.retain(|slot| counts.get(*slot) == 0);
        Ok(touched)
    }

    /// Replaces rows by their unique columns; returns the entries that are taken back in the end.
    fn replace(
        &mut self,
        batch: &ChangelogBatch,
        at: &[u32],
        matches: &[i64],
        keyed: &mut KeyedStateBackend,
    ) -> Result<Vec<u32>, OperatorError> {
        let found = &self.scratch.found.slots;
        // What happens last to an entry is what stays.
        let mut last: std::collections::BTreeMap<u32, u32> = std::collections::BTreeMap::new();
        for (which, slot) in found.iter().enumerate() {
            last.insert(*slot, which as u32);
        }
        let retracted = |which: u32| batch.kind(at[which as usize] as usize).is_retraction();
        let gone = last.iter().filter(|(_, which)| retracted(**which)).map(|(slot, _)| *slot).collect();
        let kept: Vec<(u32, u32)> = last.into_iter().filter(|(_, which)| !retracted(*which)).collect();
        let (slots, which): (Vec<u32>, Vec<u32>) = kept.into_iter().unzip();
        self.write(batch, at, &which, &slots, matches, keyed)?;
        Ok(gone)
    }
}

/// The rows of a batch whose keys may match; `None`: all.
pub(super) fn rows_with_keys(rows: &RecordBatch, keys: &[usize]) -> Option<Vec<u32>> {
    let nullable: Vec<_> = keys.iter().filter_map(|key| rows.column(*key).logical_nulls()).collect();
    if nullable.iter().all(|nulls| nulls.null_count() == 0) {
        return None;
    }
    let valid = |row: &u32| nullable.iter().all(|nulls| nulls.is_valid(*row as usize));
    Some((0..rows.num_rows() as u32).filter(valid).collect())
}

/// Stands beside a row that has no key among the other side's.
pub(super) const NO_KEY: u32 = NO_SLOT;
