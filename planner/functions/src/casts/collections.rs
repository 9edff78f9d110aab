//! Collections under CAST: member by member.

use super::CastStep;
use arrow::array::{Array, ArrayRef, AsArray, ListArray, MapArray, StructArray};
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
                Ok(Arc::new(ListArray::try_new(element, offsets, values, list.nulls().cloned())?))
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
                let nulls = row.nulls().cloned();
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
        let pairs = StructArray::try_new(fields.clone(), vec![keys, values], None)?;
        let offsets = map.offsets().clone();
        Ok(Arc::new(MapArray::try_new(entries.clone(), offsets, pairs, map.nulls().cloned(), *sorted)?))
    }
}
