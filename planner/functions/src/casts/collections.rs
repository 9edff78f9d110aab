//! Collections under CAST: member by member.

use super::CastStep;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::DataType;
use datafusion_common::{Result, internal_err};
use std::sync::Arc;
use weir_types::{SqlField, SqlType};

impl CastStep {
    pub(super) fn collection(&self, array: &ArrayRef, from: &SqlType, to: &SqlType) -> Result<ArrayRef> {
        match (from, to, to.data_type()) {
            (SqlType::Array(a), SqlType::Array(b), DataType::List(element)) => {
                let list = array.as_list::<i32>();
                let values = self.array(list.values(), &a.sql_type, &b.sql_type)?;
                let offsets = list.offsets().clone();
                let nulls = self.without_failed(list.nulls(), &[(list.values(), &values)], Some(&offsets));
                Ok(Arc::new(ListArray::try_new(element, offsets, values, nulls)?))
            }
            (SqlType::Map(k1, v1), SqlType::Map(k2, v2), data_type) => {
                self.map(array, [k1, v1], [k2, v2], &data_type)
            }
            (SqlType::Multiset(a), SqlType::Multiset(b), data_type) => {
                let count = SqlField::new("value", SqlType::Int, false);
                self.map(array, [a, &count], [b, &count], &data_type)
            }
            (SqlType::Row(a), SqlType::Row(b), DataType::Struct(fields)) => {
                let row = array.as_struct();
                let columns = row.columns().iter().zip(a.iter().zip(b));
                let columns = columns
                    .map(|(column, (a, b))| self.array(column, &a.sql_type, &b.sql_type))
                    .collect::<Result<Vec<_>>>()?;
                let casts: Vec<_> = row.columns().iter().zip(&columns).collect();
                let nulls = self.without_failed(row.nulls(), &casts, None);
                Ok(Arc::new(StructArray::try_new_with_length(fields, columns, nulls, row.len())?))
            }
            _ => internal_err!("cast of {from} to {to}"),
        }
    }

    fn map(
        &self,
        array: &ArrayRef,
        from: [&SqlField; 2],
        to: [&SqlField; 2],
        data_type: &DataType,
    ) -> Result<ArrayRef> {
        let DataType::Map(entries, sorted) = data_type else { return internal_err!("{data_type} is no map") };
        let DataType::Struct(fields) = entries.data_type() else {
            return internal_err!("{data_type} is no map");
        };
        let map = array.as_map();
        let keys = self.array(map.keys(), &from[0].sql_type, &to[0].sql_type)?;
        let values = self.array(map.values(), &from[1].sql_type, &to[1].sql_type)?;
        let offsets = map.offsets().clone();
        let casts = [(map.keys(), &keys), (map.values(), &values)];
        let nulls = self.without_failed(map.nulls(), &casts, Some(&offsets));
        let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, nulls, *sorted)?))
    }

    /// The collections that are there after TRY_CAST: one of whose members could not be cast is none. `casts` are
    /// members before and after, those of a collection between two of `offsets`, without offsets one each.
    fn without_failed(
        &self,
        nulls: Option<&NullBuffer>,
        casts: &[(&ArrayRef, &ArrayRef)],
        offsets: Option<&OffsetBuffer<i32>>,
    ) -> Option<NullBuffer> {
        let failed =
            |place: usize| casts.iter().any(|(before, after)| before.is_valid(place) && after.is_null(place));
        let is_lossy = |(before, after): &(&ArrayRef, &ArrayRef)| before.null_count() < after.null_count();
        if !self.lenient || !casts.iter().any(is_lossy) {
            return nulls.cloned();
        }
        let whole: NullBuffer = match offsets {
            Some(offsets) => offsets
                .windows(2)
                .map(|ends| !(ends[0] as usize..ends[1] as usize).any(failed))
                .collect::<Vec<_>>()
                .into(),
            None => (0..casts[0].0.len()).map(|place| !failed(place)).collect::<Vec<_>>().into(),
        };
        NullBuffer::union(nulls, Some(&whole))
    }
}
