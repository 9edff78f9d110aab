//! Counts the rows of a batch into the accumulators of their groups, where nothing is emitted with them.

use crate::OperatorError;
use crate::accumulators::{AccumulatorSet, Changes, GroupRows, Retractions};
use crate::grouping::Grouping;
use crate::merge::AccumulatorTable;
use weir_state::{KeyedStateBackend, Namespace, PinBuffer};
use weir_types::ChangelogBatch;

/// `grouping` has the entry of each row of `batch`. `count_word` is the word with the number of a group's
/// rows, where the input retracts; rows that take back count there too.
pub(crate) fn accumulate(
    set: &AccumulatorSet,
    keyed: &mut KeyedStateBackend,
    (table, namespace): (&mut AccumulatorTable, Namespace),
    grouping: &Grouping,
    (rows, pins): (&mut GroupRows, &mut PinBuffer),
    batch: &ChangelogBatch,
    count_word: Option<usize>,
) -> Result<(), OperatorError> {
    let AccumulatorTable { state, distincts } = table;
    set.load(&keyed.rows(*state, namespace), &grouping.slots, pins, rows);
    let (mut retracts, mut resets) = (Vec::new(), Vec::new());
    if let Some(word) = count_word {
        resets.resize(batch.num_rows(), false);
        for (row, group) in grouping.groups.iter().enumerate() {
            let retraction = batch.kind(row).is_retraction();
            let count = &mut rows.part_mut(*group as usize, word, 1)[0];
            *count = if retraction { count.wrapping_sub(1) } else { count.wrapping_add(1) };
            retracts.push(retraction);
        }
    }
    let retractions = count_word.is_some().then_some(Retractions { retracts: &retracts, resets: &resets });
    let parents: Vec<u32> = match distincts.maps.is_empty() {
        true => Vec::new(),
        false => grouping.groups.iter().map(|group| grouping.slots[*group as usize]).collect(),
    };
    let fresh = distincts.note(keyed, namespace, &parents, batch.rows(), None, retractions)?;
    for member in set.members() {
        let selected = match member.distinct {
            Some((map, bit)) => Some(fresh[map][bit].clone()),
            None => AccumulatorSet::selection(member, batch.rows())?,
        };
        let changes = Changes { groups: &grouping.groups, selected, retractions };
        let arguments = AccumulatorSet::arguments(member, batch.rows());
        member.accumulator.update(member.place, rows, &arguments, &changes)?;
    }
    set.store(rows, &grouping.slots, pins, &mut keyed.rows(*state, namespace));
    Ok(())
}
