//! What is kept of partitions.

use crate::distinct::{state_fields, time_field};
use crate::partitions::kept_columns;
use crate::{OperatorContext, OperatorError};
use arrow::datatypes::Schema;
use weir_state::{Namespace, NamespaceKind, StateDescriptor, StateId, TimeDomain};
use weir_types::{MatchSpec, SqlField, SqlType};

pub(super) const VOID: Namespace = Namespace::Void;

/// Fields of a row: its time, its number among the rows of its partition, NULL while it waits, its columns.
pub(super) const TIME: usize = 0;
pub(super) const NUMBER: usize = 1;
pub(super) const FIRST: usize = 2;

/// Fields of a match: the number of its first row, NULL for the match that has none yet, whether it is complete, and the
/// number of rows for each variable.
pub(super) const BEGINS: usize = 0;
pub(super) const COMPLETE: usize = 1;
pub(super) const RUNS: usize = 2;

/// The states of the operator.
#[derive(Clone, Debug)]
pub(super) struct Store {
    /// by the columns of the partition: the number of the next row
    pub(super) partitions: StateId,
    /// under them rows that wait or that matches have
    pub(super) rows: StateId,
    /// under them matches that are not complete, or that an earlier one may rule out
    pub(super) matches: StateId,
    /// when a partition has rows that are due, or a match takes too long
    pub(super) timers: StateId,
    pub(super) variables: usize,
    pub(super) partition: Vec<usize>,
    /// columns of the input that are kept with a row: all but those of the partition
    pub(super) kept: Vec<usize>,
}

impl Store {
    pub(super) fn open(
        name: &str,
        spec: &MatchSpec,
        input: &Schema,
        context: &mut OperatorContext,
    ) -> Result<Store, OperatorError> {
        let keys = state_fields(Vec::new(), &spec.partition, input)?;
        let next = vec![SqlField::new("next row", SqlType::BigInt, false)];
        let partitions =
            StateDescriptor::value(format!("{name}/partitions"), keys.clone(), NamespaceKind::Void, next);
        let partitions = context.keyed.register(partitions)?;
        let kept = kept_columns(input, &spec.partition);
        let leading =
            vec![time_field(spec.rowtime.is_none()), SqlField::new("number", SqlType::BigInt, true)];
        let rows = StateDescriptor::list(format!("{name}/rows"), state_fields(leading, &kept, input)?);
        let rows = context.keyed.register_under(partitions, rows)?;
        let mut fields = vec![
            SqlField::new("first row", SqlType::BigInt, true),
            SqlField::new("complete", SqlType::Boolean, false),
        ];
        let counts = spec.variables.iter().map(|variable| format!("rows of {}", variable.name));
        fields.extend(counts.map(|name| SqlField::new(name, SqlType::Int, false)));
        let matches = StateDescriptor::list(format!("{name}/matches"), fields);
        let matches = context.keyed.register_under(partitions, matches)?;
        let domain = match spec.rowtime {
            Some(_) => TimeDomain::EventTime,
            None => TimeDomain::ProcessingTime,
        };
        let timers = context.keyed.register_timers(format!("{name}/timers"), keys, domain)?;
        let (variables, partition) = (spec.variables.len(), spec.partition.clone());
        Ok(Store { partitions, rows, matches, timers, variables, partition, kept })
    }

    /// Where a column of the input is among those that are kept with a row.
    pub(super) fn field_of(&self, column: usize) -> Option<usize> {
        self.kept.iter().position(|kept| *kept == column)
    }
}
