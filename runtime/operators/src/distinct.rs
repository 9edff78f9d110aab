//! DISTINCT: which rows bring a value that their group has not seen.

use crate::OperatorError;
use crate::accumulators::{
    AccumulatorSet, DistinctSpec, Retractions, and, filter_bits, unlike, unlike_each_other, valid_rows,
};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::filter;
use arrow::datatypes::Schema;
use weir_state::{KeyedStateBackend, Namespace, Slots, StateDescriptor, StateId};
use weir_types::{SqlField, SqlType, column_text};

/// Filters that share one word of a map entry.
const WORD_BITS: usize = 64;

/// For each map of seen values and each filter that shares it, the rows that count.
pub(crate) type DistinctRows = Vec<Vec<BooleanBuffer>>;

/// The seen values of all groups: a map per list of arguments, under the state with the groups' accumulators.
/// An entry says which filters have let its value through: a bit each where rows only come, a count each
/// where they also go.
pub(crate) struct DistinctMaps {
    specs: Vec<DistinctSpec>,
    pub(crate) maps: Vec<StateId>,
    retracts: bool,
    found: Slots,
}

impl DistinctMaps {
    pub(crate) fn register(
        keyed: &mut KeyedStateBackend,
        parent: StateId,
        name: &str,
        set: &AccumulatorSet,
        schema: &Schema,
        retracts: bool,
    ) -> Result<Self, OperatorError> {
        let mut maps = Vec::new();
        let mut names: Vec<String> = Vec::new();
        for spec in set.distincts() {
            let keys: Vec<SqlField> =
                spec.arguments.iter().map(|column| sql_field(schema, *column)).collect::<Result<_, _>>()?;
            let texts: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            // Column families are named after states; a slash parts operator and state.
            let texts = texts.join(", ").replace('/', "_");
            let own = unlike(format!("{name}({texts})"), names.iter().map(String::as_str));
            names.push(own.clone());
            let values = spec_fields(spec, schema, retracts);
            maps.push(keyed.register_under(parent, StateDescriptor::map(own, keys, values))?);
        }
        Ok(DistinctMaps { specs: set.distincts().to_vec(), maps, retracts, found: Slots::default() })
    }

    /// Notes the values of `rows` under the entries at `parents`. Only rows of `considered` take part
    /// (`None`: all).
    pub(crate) fn note(
        &mut self,
        keyed: &mut KeyedStateBackend,
        namespace: Namespace,
        parents: &[u32],
        rows: &RecordBatch,
        considered: Option<&BooleanBuffer>,
        retractions: Option<Retractions<'_>>,
    ) -> Result<DistinctRows, OperatorError> {
        let mut all = Vec::with_capacity(self.specs.len());
        for index in 0..self.specs.len() {
            let spec = &self.specs[index];
            let filters = spec
                .filters
                .iter()
                .map(|filter| filter.map(|column| filter_bits(rows.column(column))).transpose())
                .collect::<Result<Vec<_>, _>>()?;
            let valid = if spec.keeps_null { None } else { valid_rows(&spec.arguments, rows) };
            let valid = and(valid, considered.cloned());
            let any = match filters.iter().flatten().count() == filters.len() {
                true => filters.iter().flatten().cloned().reduce(|left, right| &left | &right),
                false => None,
            };
            let selected = and(valid, any);
            let places: Vec<u32> = match &selected {
                Some(selected) => selected.set_indices_u32().collect(),
                None => (0..rows.num_rows() as u32).collect(),
            };
            let columns = pick(&spec.arguments, rows, selected.as_ref())?;
            let under: Vec<u32> = places.iter().map(|row| parents[*row as usize]).collect();
            let map = self.maps[index];
            let keys = keyed.encoder(map).encode(&columns, places.len())?;
            keyed.resolve_under(map, namespace, &under, &keys, &mut self.found);
            all.push(match retractions {
                Some(retractions) if self.retracts => {
                    self.count(keyed, namespace, index, &places, &filters, retractions, rows.num_rows())
                }
                _ => self.mark(keyed, namespace, index, &places, &filters, rows.num_rows()),
            });
        }
        Ok(all)
    }

    /// Where rows only come: the first row of each value and filter.
    fn mark(
        &self,
        keyed: &mut KeyedStateBackend,
        namespace: Namespace,
        index: usize,
        places: &[u32],
        filters: &[Option<BooleanBuffer>],
        rows: usize,
    ) -> Vec<BooleanBuffer> {
        let mut fresh = vec![0_u64; rows];
        if let [_] = filters {
            for position in &self.found.created {
                fresh[places[*position as usize] as usize] = 1;
            }
            return vec![BooleanBuffer::collect_bool(rows, |row| fresh[row] != 0)];
        }
        let state = keyed.rows(self.maps[index], namespace);
        let mut marked = Vec::with_capacity(filters.len());
        for (word, filters) in filters.chunks(WORD_BITS).enumerate() {
            let mut wanted = vec![0_u64; places.len()];
            for (bit, filter) in filters.iter().enumerate() {
                match filter {
                    None => wanted.iter_mut().for_each(|wanted| *wanted |= 1 << bit),
                    Some(filter) => {
                        for (wanted, row) in wanted.iter_mut().zip(places) {
                            *wanted |= u64::from(filter.value(*row as usize)) << bit;
                        }
                    }
                }
            }
            let seen = state.column::<i64>(word);
            fresh.fill(0);
            for ((wanted, slot), row) in wanted.iter().zip(&self.found.slots).zip(places) {
                let old = seen.get(*slot) as u64;
                let new = wanted & !old;
                if new != 0 {
                    seen.set(*slot, (old | new) as i64);
                    fresh[*row as usize] = new;
                }
            }
            let bits = (0..filters.len())
                .map(|bit| BooleanBuffer::collect_bool(rows, |row| fresh[row] >> bit & 1 != 0));
            marked.extend(bits);
        }
        marked
    }

    /// Where rows also go: the rows with which a value's count leaves 0 upwards, or returns to it.
    fn count(
        &self,
        keyed: &mut KeyedStateBackend,
        namespace: Namespace,
        index: usize,
        places: &[u32],
        filters: &[Option<BooleanBuffer>],
        retractions: Retractions<'_>,
        rows: usize,
    ) -> Vec<BooleanBuffer> {
        let map = self.maps[index];
        let mut counted = Vec::with_capacity(filters.len());
        let state = keyed.rows(map, namespace);
        for (bit, filter) in filters.iter().enumerate() {
            let counts = state.column::<i64>(bit);
            let mut counting = vec![false; rows];
            for (slot, row) in self.found.slots.iter().zip(places) {
                let row = *row as usize;
                if filter.as_ref().is_some_and(|filter| !filter.value(row)) {
                    continue;
                }
                let old = counts.get(*slot);
                let new = if retractions.retracts[row] { old - 1 } else { old + 1 };
                counts.set(*slot, new);
                counting[row] = if retractions.retracts[row] { new == 0 } else { old == 0 };
            }
            counted.push(BooleanBuffer::from(counting));
        }
        let counts: Vec<_> = (0..filters.len()).map(|bit| state.column::<i64>(bit)).collect();
        let gone =
            self.found.slots.iter().copied().filter(|slot| counts.iter().all(|count| count.get(*slot) == 0));
        let gone: Vec<u32> = gone.collect();
        if !gone.is_empty() {
            keyed.delete(map, namespace, &gone);
        }
        counted
    }
}

impl DistinctMaps {
    /// Adds what the entries `from_slots` of another map say to the entries that `found` names, and tells for
    /// each filter which values are there only since.
    pub(crate) fn merge(
        &self,
        keyed: &mut KeyedStateBackend,
        index: usize,
        (from, from_namespace, from_slots): (StateId, Namespace, &[u32]),
        (into, into_namespace): (StateId, Namespace),
        found: &Slots,
    ) -> Vec<BooleanBuffer> {
        let bits = self.specs[index].filters.len();
        let count = from_slots.len();
        if bits == 1 && !self.retracts {
            let mut fresh = vec![false; count];
            found.created.iter().for_each(|position| fresh[*position as usize] = true);
            return vec![BooleanBuffer::from(fresh)];
        }
        let fields = if self.retracts { bits } else { bits.div_ceil(WORD_BITS) };
        let source = keyed.rows(from, from_namespace);
        let values: Vec<Vec<i64>> = (0..fields)
            .map(|field| {
                let column = source.column::<i64>(field);
                from_slots.iter().map(|slot| column.get(*slot)).collect()
            })
            .collect();
        let target = keyed.rows(into, into_namespace);
        let mut fresh = Vec::with_capacity(bits);
        for (field, values) in values.iter().enumerate() {
            let column = target.column::<i64>(field);
            let slots = found.slots.iter();
            if self.retracts {
                let rows = values.iter().zip(slots).map(|(value, slot)| {
                    let old = column.get(*slot);
                    column.set(*slot, old + value);
                    old <= 0 && old + value > 0
                });
                fresh.push(rows.collect::<BooleanBuffer>());
                continue;
            }
            let new: Vec<u64> = values
                .iter()
                .zip(slots)
                .map(|(value, slot)| {
                    let old = column.get(*slot);
                    column.set(*slot, old | value);
                    (value & !old) as u64
                })
                .collect();
            let bits = WORD_BITS.min(bits - field * WORD_BITS);
            fresh.extend(
                (0..bits).map(|bit| BooleanBuffer::collect_bool(count, |row| new[row] >> bit & 1 != 0)),
            );
        }
        fresh
    }
}

/// What an entry of a map keeps: where rows also go a count for each filter; else, of several filters, which of them
/// have let the value through, a bit each.
fn spec_fields(spec: &DistinctSpec, schema: &Schema, retracts: bool) -> Vec<SqlField> {
    let field = |name: String| SqlField::new(name, SqlType::BigInt, false);
    let bits = spec.filters.len();
    match retracts {
        true => {
            let filters = spec.filters.iter().map(|filter| match filter {
                Some(column) => format!("rows FILTER (WHERE {})", column_text(schema.field(*column))),
                None => "rows".to_string(),
            });
            unlike_each_other(filters).into_iter().map(field).collect()
        }
        // The one filter of a map has let through whatever is in it.
        false if bits == 1 => Vec::new(),
        false => (0..bits.div_ceil(WORD_BITS)).map(|word| field(format!("filters.{word}"))).collect(),
    }
}

/// The columns `columns` of `rows`, of the selected rows.
fn pick(
    columns: &[usize],
    rows: &RecordBatch,
    selected: Option<&BooleanBuffer>,
) -> Result<Vec<ArrayRef>, OperatorError> {
    let columns = columns.iter().map(|column| rows.column(*column));
    match selected {
        None => Ok(columns.cloned().collect()),
        Some(selected) => {
            let selected = BooleanArray::new(selected.clone(), None);
            Ok(columns.map(|column| filter(column, &selected)).collect::<Result<_, _>>()?)
        }
    }
}

/// What a state keeps of rows of `schema`: `leading`, then `columns`, no two of one name.
pub(crate) fn state_fields(
    leading: Vec<SqlField>,
    columns: &[usize],
    schema: &Schema,
) -> Result<Vec<SqlField>, OperatorError> {
    let mut fields = leading;
    for column in columns {
        let mut field = sql_field(schema, *column)?;
        field.name = unlike(field.name, fields.iter().map(|field| field.name.as_str()));
        fields.push(field);
    }
    Ok(fields)
}

/// When a row happened, as a field of a state: milliseconds of the row's time attribute.
pub(crate) fn time_field(proctime: bool) -> SqlField {
    match proctime {
        true => SqlField::new("proctime", SqlType::TimestampLtz(3), false),
        false => SqlField::new("rowtime", SqlType::Timestamp(3), false),
    }
}

/// A column of the input as a field of a state.
pub(crate) fn sql_field(schema: &Schema, column: usize) -> Result<SqlField, OperatorError> {
    let field = schema.field(column);
    let sql_type = SqlType::of_field(field).ok_or_else(|| {
        OperatorError::Internal(format!("column `{}` has no SQL type: {}", field.name(), field.data_type()))
    })?;
    Ok(SqlField::new(column_text(field), sql_type, field.is_nullable()))
}
