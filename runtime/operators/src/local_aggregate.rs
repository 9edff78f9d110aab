//! The rows of a batch by their groups, before they are distributed.

use crate::accumulators::{AccumulatorSet, Changes, GroupRows, ROWS_FIELD, Retractions};
use crate::calc::batch_of;
use crate::{Operator, OperatorContext, OperatorError, Output};
use arrow::array::{ArrayRef, BinaryBuilder, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;
use weir_types::{ChangelogBatch, EncodedKeys, KeyData, KeyEncoder, LocalAggregateSpec, SqlField, SqlType};

/// Counts the rows of each batch into accumulators of their groups, and hands these on. It holds nothing back, so that
/// it keeps nothing: a barrier never finds anything here.
pub(crate) struct LocalAggregate {
    spec: LocalAggregateSpec,
    schema: SchemaRef,
    set: AccumulatorSet,
    encoder: KeyEncoder,
    rows: GroupRows,
    groups: KeyGroups,
}

impl LocalAggregate {
    pub(crate) fn new(
        spec: &LocalAggregateSpec,
        input: SchemaRef,
        schema: SchemaRef,
    ) -> Result<Self, OperatorError> {
        let count = SqlField::new(ROWS_FIELD, SqlType::BigInt, false);
        let leading = if spec.input_retracts { vec![count] } else { Vec::new() };
        let set = AccumulatorSet::new(&spec.aggregates, &input, spec.input_retracts, leading)?;
        if !set.distincts().is_empty() {
            return Err(OperatorError::internal("values that are distinct in a batch may not be so in all"));
        }
        let types: Vec<_> = spec.keys.iter().map(|key| input.field(*key).data_type().clone()).collect();
        let (rows, encoder) = (set.new_rows(), KeyEncoder::new(&types)?);
        Ok(LocalAggregate { spec: spec.clone(), schema, set, encoder, rows, groups: KeyGroups::default() })
    }

    fn count_in(&mut self, batch: &ChangelogBatch) -> Result<(), OperatorError> {
        self.rows.reset(self.groups.firsts.len());
        let retracts: Vec<bool> = match self.spec.input_retracts {
            true => (0..batch.num_rows()).map(|row| batch.kind(row).is_retraction()).collect(),
            false => Vec::new(),
        };
        for (retracts, group) in retracts.iter().zip(&self.groups.groups) {
            let count = &mut self.rows.part_mut(*group as usize, 0, 1)[0];
            *count = if *retracts { count.wrapping_sub(1) } else { count.wrapping_add(1) };
        }
        let resets = vec![false; retracts.len()];
        let retractions =
            self.spec.input_retracts.then_some(Retractions { retracts: &retracts, resets: &resets });
        for member in self.set.members() {
            let selected = AccumulatorSet::selection(member, batch.rows())?;
            let changes = Changes { groups: &self.groups.groups, selected, retractions };
            let arguments = AccumulatorSet::arguments(member, batch.rows());
            member.accumulator.update(member.place, &mut self.rows, &arguments, &changes)?;
        }
        Ok(())
    }
}

impl Operator for LocalAggregate {
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
        let rows = batch.rows();
        let keys: Vec<ArrayRef> = self.spec.keys.iter().map(|key| rows.column(*key).clone()).collect();
        match keys.is_empty() {
            true => self.groups.all_in_one(batch.num_rows()),
            false => self.groups.group(&self.encoder.encode(&keys, batch.num_rows())?),
        }
        self.count_in(&batch)?;
        let firsts = UInt32Array::from(self.groups.firsts.clone());
        let mut columns = Vec::with_capacity(keys.len() + 1);
        for key in &keys {
            columns.push(take(key, &firsts, None)?);
        }
        let (mut accumulators, mut bytes) = (BinaryBuilder::new(), Vec::new());
        for row in 0..self.rows.len() {
            bytes.clear();
            self.rows.write_row(row, &mut bytes);
            accumulators.append_value(&bytes);
        }
        columns.push(Arc::new(accumulators.finish()));
        let batch = batch_of(self.schema.clone(), columns, firsts.len())?;
        output.batch(ChangelogBatch::insert_only(batch));
        Ok(())
    }
}

/// The groups of a batch's keys, numbered by their first rows.
#[derive(Default)]
struct KeyGroups {
    /// of each row
    groups: Vec<u32>,
    /// the first row of each group
    firsts: Vec<u32>,
    table: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl KeyGroups {
    fn all_in_one(&mut self, rows: usize) {
        self.groups.clear();
        self.groups.resize(rows, 0);
        self.firsts.clear();
        self.firsts.push(0);
    }

    fn group(&mut self, keys: &EncodedKeys) {
        match keys.data() {
            KeyData::Word { words, nulls, .. } => {
                let valid = |row: usize| nulls.as_ref().is_none_or(|nulls: &NullBuffer| nulls.is_valid(row));
                self.group_by(keys.hashes(), |a, b| words[a] == words[b] && valid(a) == valid(b));
            }
            KeyData::Fixed2 { words, .. } => self.group_by(keys.hashes(), |a, b| words[a] == words[b]),
            KeyData::Fixed3 { words, .. } => self.group_by(keys.hashes(), |a, b| words[a] == words[b]),
            KeyData::Bytes { offsets, bytes } => {
                let key = |row: usize| &bytes[offsets[row] as usize..offsets[row + 1] as usize];
                self.group_by(keys.hashes(), |a, b| key(a) == key(b));
            }
        }
    }

    fn group_by(&mut self, hashes: &[u64], same: impl Fn(usize, usize) -> bool) {
        self.groups.clear();
        self.firsts.clear();
        self.table.clear();
        let size = (hashes.len() * 2).next_power_of_two();
        self.table.resize(size, NONE);
        for (row, hash) in hashes.iter().enumerate() {
            let mut place = *hash as usize & (size - 1);
            let group = loop {
                let group = self.table[place];
                if group == NONE {
                    let group = self.firsts.len() as u32;
                    self.table[place] = group;
                    self.firsts.push(row as u32);
                    break group;
                }
                if same(self.firsts[group as usize] as usize, row) {
                    break group;
                }
                place = (place + 1) & (size - 1);
            };
            self.groups.push(group);
        }
    }
}
