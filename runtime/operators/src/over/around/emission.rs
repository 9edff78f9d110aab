//! What is emitted for the changes of a batch: rows that go, then results that became others, then rows that come. So a
//! row that goes from one place to another is taken back before it comes again.

use super::Table;
use super::evaluate::Results;
use super::island::Island;
use crate::calc::{batch_of, changes_of};
use crate::over::changed::note_unlike;
use crate::over::traced::rows_at_once;
use crate::{OperatorError, Output};
use arrow::array::UInt32Array;
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use weir_types::{OverPartitionSpec, RowKind};

/// Where the results of an island begin, before its changes and after them.
pub(super) struct Offsets {
    pub(super) before: u32,
    pub(super) after: u32,
}

/// Rows of the table with numbers of their results.
#[derive(Default)]
struct Changes {
    gone: Vec<(u32, u32)>,
    new: Vec<(u32, u32)>,
    /// with the number of the former result
    kept: Vec<(u32, u32, u32)>,
}

impl Changes {
    fn add(&mut self, island: &Island, offsets: &Offsets) {
        let mut before = vec![u32::MAX; island.former.len()];
        let touched = island.touched_before.iter().enumerate().filter(|(_, touched)| **touched);
        for (number, (place, _)) in (offsets.before..).zip(touched) {
            before[place] = number;
        }
        self.gone.extend(island.gone().map(|(place, item)| (item, before[place])));
        let touched = island.touched.iter().enumerate().filter(|(_, touched)| **touched);
        for (number, (place, _)) in (offsets.after..).zip(touched) {
            let item = island.items[place];
            match island.from[place] {
                None => self.new.push((item, number)),
                Some(from) => self.kept.push((item, before[from as usize], number)),
            }
        }
    }
}

pub(super) fn emit(
    islands: &[Island],
    offsets: &[Offsets],
    (table, results): (&Table, &[Results]),
    (spec, schema): (&OverPartitionSpec, &SchemaRef),
    batch_rows: usize,
    output: &mut Output,
) -> Result<(), OperatorError> {
    let mut changes = Changes::default();
    islands.iter().zip(offsets).for_each(|(island, offsets)| changes.add(island, offsets));
    let mut differs = vec![false; changes.kept.len()];
    if !changes.kept.is_empty() {
        let before: Vec<u32> = changes.kept.iter().map(|(_, before, _)| *before).collect();
        let after: Vec<u32> = changes.kept.iter().map(|(_, _, after)| *after).collect();
        for results in results {
            note_unlike(&results.gather(&before)?, &results.gather(&after)?, &mut differs)?;
        }
    }
    let mut rows: Vec<(RowKind, u32, u32)> = Vec::new();
    rows.extend(changes.gone.iter().map(|(item, result)| (RowKind::Delete, *item, *result)));
    for ((item, before, after), _) in changes.kept.iter().zip(&differs).filter(|(_, differs)| **differs) {
        if spec.emit_update_before {
            rows.push((RowKind::UpdateBefore, *item, *before));
        }
        rows.push((RowKind::UpdateAfter, *item, *after));
    }
    rows.extend(changes.new.iter().map(|(item, result)| (RowKind::Insert, *item, *result)));
    let step = rows_at_once(results.iter().flat_map(|results| &results.arrays), batch_rows);
    for part in rows.chunks(step) {
        let items = UInt32Array::from_iter_values(part.iter().map(|(_, item, _)| *item));
        let given = spec.columns.iter().map(|column| take(table.rows.column(*column), &items, None));
        let mut columns = given.collect::<Result<Vec<_>, _>>()?;
        let wanted: Vec<u32> = part.iter().map(|(_, _, result)| *result).collect();
        for results in results {
            columns.push(results.gather(&wanted)?);
        }
        let kinds: Vec<RowKind> = part.iter().map(|(kind, _, _)| *kind).collect();
        output.batch(changes_of(batch_of(schema.clone(), columns, part.len())?, &kinds));
    }
    Ok(())
}
