//! Which results became others.

use crate::OperatorError;
use arrow::array::{Array, ArrayRef};
use arrow::compute::kernels::cmp::distinct;

/// Sets `differs` where the values of two columns are not the same; NULL is the same as NULL.
pub(super) fn note_unlike(
    before: &ArrayRef,
    after: &ArrayRef,
    differs: &mut [bool],
) -> Result<(), OperatorError> {
    match before.data_type().is_nested() {
        false => {
            let unlike = distinct(before, after)?;
            unlike.values().iter().zip(differs).for_each(|(unlike, differs)| *differs |= unlike);
        }
        // There is no kernel for these.
        true => {
            let unlike = |row: usize| before.slice(row, 1).as_ref() != after.slice(row, 1).as_ref();
            differs.iter_mut().enumerate().for_each(|(row, differs)| *differs |= unlike(row));
        }
    }
    Ok(())
}
