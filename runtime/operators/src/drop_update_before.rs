//! Changes without `-U`.

use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use weir_types::{ChangelogBatch, RowKind, RowKinds};

/// Hands on all rows but those that an update takes back; these as rows that are deleted where that is wanted. Keeps no state.
pub(crate) struct DropUpdateBefore {
    pub(crate) as_deletes: bool,
}

impl Operator for DropUpdateBefore {
    fn open(&mut self, _context: &mut OperatorContext) -> Result<(), OperatorError> {
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        _context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let Some(kinds) = batch.kinds() else {
            output.batch(batch);
            return Ok(());
        };
        if self.as_deletes {
            let deleted = |kind| if kind == RowKind::UpdateBefore { RowKind::Delete } else { kind };
            let kinds: RowKinds = kinds.iter().map(deleted).collect();
            output.batch(ChangelogBatch::new(batch.rows().clone(), Some(kinds)));
            return Ok(());
        }
        let kept: BooleanArray = kinds.iter().map(|kind| Some(kind != RowKind::UpdateBefore)).collect();
        match kept.true_count() {
            0 => {}
            all if all == batch.num_rows() => output.batch(batch),
            _ => {
                let rows = filter_record_batch(batch.rows(), &kept)?;
                let kinds: RowKinds = kinds.iter().filter(|kind| *kind != RowKind::UpdateBefore).collect();
                output.batch(ChangelogBatch::new(rows, Some(kinds)));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_script::{Harness, batch, schema};

    #[test]
    fn rows_before_updates_go_or_are_deleted() {
        let input = schema("k INT");
        let rows = [
            (RowKind::Insert, vec!["1"]),
            (RowKind::UpdateBefore, vec!["1"]),
            (RowKind::UpdateAfter, vec!["2"]),
            (RowKind::UpdateBefore, vec!["2"]),
            (RowKind::Delete, vec!["3"]),
        ];
        let emitted = |as_deletes: bool| {
            let mut harness = Harness::new(1, move || Box::new(DropUpdateBefore { as_deletes }));
            harness.batch(batch(&input, &rows));
            harness.batch(batch(&input, &rows[1..2]));
            harness.batch(batch(&input, &rows[..1]));
            harness.lines()
        };
        assert_eq!(emitted(false), ["+I 1", "+U 2", "-D 3", "+I 1"]);
        assert_eq!(emitted(true), ["+I 1", "-D 1", "+U 2", "-D 2", "-D 3", "-D 1", "+I 1"]);
    }
}
