//! What a kernel sees of a call: columns of which some are constant.

use super::context::FunctionContext;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, BooleanArray, PrimitiveArray, StringArray,
};
use datafusion_common::{Result, internal_datafusion_err};
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use weir_types::SqlType;

/// The arguments of one call over one batch.
pub(super) struct Inputs<'a> {
    pub columns: &'a [Input],
    /// rows of the result
    pub rows: usize,
    /// the types of the arguments and of the result, as the call was bound
    pub types: &'a [SqlType],
    pub result: &'a SqlType,
    pub context: &'a FunctionContext,
    pub cache: &'a Cache,
}

/// One argument: a value a row, or one value for all rows.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub array: ArrayRef,
    pub constant: bool,
}

/// A column whose constant form is read like any other.
pub(super) struct Column<'a, A: ?Sized> {
    pub array: &'a A,
    /// all ones, or zero for a constant: `row & mask` is the place of the value
    mask: usize,
}

impl<'a, A: Array + ?Sized> Column<'a, A> {
    #[inline(always)]
    pub fn index(&self, row: usize) -> usize {
        row & self.mask
    }

    #[inline(always)]
    pub fn is_null(&self, row: usize) -> bool {
        self.array.is_null(self.index(row))
    }

    pub fn is_constant(&self) -> bool {
        self.mask == 0
    }
}

pub(super) type Texts<'a> = Column<'a, StringArray>;
pub(super) type Blobs<'a> = Column<'a, BinaryArray>;
pub(super) type Booleans<'a> = Column<'a, BooleanArray>;
pub(super) type Primitives<'a, T> = Column<'a, PrimitiveArray<T>>;

impl<'a> Texts<'a> {
    #[inline(always)]
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let row = self.index(row);
        if self.array.is_null(row) { None } else { Some(self.array.value(row)) }
    }

    /// The one value of a constant column; `Some(None)` is NULL.
    pub fn constant(&self) -> Option<Option<&'a str>> {
        self.is_constant().then(|| self.get(0))
    }
}

impl<'a> Blobs<'a> {
    #[inline(always)]
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        let row = self.index(row);
        if self.array.is_null(row) { None } else { Some(self.array.value(row)) }
    }
}

impl Booleans<'_> {
    #[inline(always)]
    pub fn get(&self, row: usize) -> Option<bool> {
        let row = self.index(row);
        if self.array.is_null(row) { None } else { Some(self.array.value(row)) }
    }
}

impl<T: ArrowPrimitiveType> Primitives<'_, T> {
    #[inline(always)]
    pub fn get(&self, row: usize) -> Option<T::Native> {
        let row = self.index(row);
        if self.array.is_null(row) { None } else { Some(self.array.value(row)) }
    }

    pub fn constant(&self) -> Option<Option<T::Native>> {
        self.is_constant().then(|| self.get(0))
    }
}

impl<'a> Inputs<'a> {
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    fn column<A: Array>(&self, index: usize, array: Option<&'a A>) -> Result<Column<'a, A>> {
        let input = &self.columns[index];
        let array = array.ok_or_else(|| {
            let (name, found) = (std::any::type_name::<A>(), input.array.data_type());
            internal_datafusion_err!("argument {index} of a bound call: expected {name}, found {found}")
        })?;
        Ok(Column { array, mask: if input.constant { 0 } else { usize::MAX } })
    }

    pub fn texts(&self, index: usize) -> Result<Texts<'a>> {
        self.column(index, self.columns[index].array.as_string_opt())
    }

    pub fn blobs(&self, index: usize) -> Result<Blobs<'a>> {
        self.column(index, self.columns[index].array.as_binary_opt())
    }

    pub fn booleans(&self, index: usize) -> Result<Booleans<'a>> {
        self.column(index, self.columns[index].array.as_boolean_opt())
    }

    pub fn primitives<T: ArrowPrimitiveType>(&self, index: usize) -> Result<Primitives<'a, T>> {
        self.column(index, self.columns[index].array.as_primitive_opt())
    }

    pub fn any(&self, index: usize) -> Column<'a, dyn Array> {
        let input = &self.columns[index];
        Column { array: input.array.as_ref(), mask: if input.constant { 0 } else { usize::MAX } }
    }

    /// The argument with a value for each row, constants repeated.
    pub fn expanded(&self, index: usize) -> Result<ArrayRef> {
        let input = &self.columns[index];
        if !input.constant || self.rows == 1 {
            return Ok(input.array.clone());
        }
        let places = arrow::array::UInt32Array::from_value(0, self.rows);
        Ok(arrow::compute::take(&input.array, &places, None)?)
    }
}

/// What a call has compiled from a constant argument (a pattern, a path), kept from batch to batch.
#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<Option<(String, Arc<dyn Any + Send + Sync>)>>);

impl Cache {
    /// What `compile` made of `text` the last time, if that was the same text.
    pub fn get_or_compile<T: Send + Sync + 'static>(
        &self,
        text: &str,
        compile: impl FnOnce(&str) -> Result<T>,
    ) -> Result<Arc<T>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, compiled)) = &*kept
            && known == text
            && let Ok(compiled) = compiled.clone().downcast::<T>()
        {
            return Ok(compiled);
        }
        let compiled = Arc::new(compile(text)?);
        *kept = Some((text.to_string(), compiled.clone()));
        Ok(compiled)
    }
}
