//! `SELECT /*+ STATE_TTL('t' = '1 d') */`: how long what an operator keeps of one input lives.
//!
//! The hint is written into FROM: the table that it names is put in parentheses whose alias says how long.

use super::ast::{Property, Text};
use super::build::table_alias;
use crate::PlanError;
use sqlparser::ast::{Ident, ObjectNamePart, Select, TableAlias, TableFactor, TableVersion, TableWithJoins};
use weir_types::parse_duration_ms;

const ALIAS: &str = "$state_ttl:";

/// How long the state of one table lives.
#[derive(Clone, Debug)]
pub(super) struct StateTtl {
    table: Text,
    ttl_ms: u64,
}

impl StateTtl {
    /// `'t' = '1 d', ..`
    pub fn read(options: Vec<Property>) -> Result<Vec<StateTtl>, PlanError> {
        let mut ttls: Vec<StateTtl> = vec![];
        for Property { key, value } in options {
            let ttl_ms = parse_duration_ms(&value.value).map_err(|error| {
                PlanError::invalid(format!("'{}' of hint STATE_TTL: {error}", key.value)).at(value.span)
            })?;
            if ttls.iter().any(|known| known.table.value == key.value) {
                let message = format!("hint STATE_TTL names '{}' twice", key.value);
                return Err(PlanError::invalid(message).at(key.span));
            }
            ttls.push(StateTtl { table: key, ttl_ms });
        }
        Ok(ttls)
    }

    /// Puts the hint into the FROM clause; false if the table is not there.
    pub fn write_into(&self, select: &mut Select) -> bool {
        let factors = select.from.iter_mut().flat_map(|from| {
            let joined = from.joins.iter_mut().map(|join| &mut join.relation);
            std::iter::once(&mut from.relation).chain(joined)
        });
        let mut found = false;
        for factor in factors.filter(|factor| self.names(factor)) {
            found = true;
            if keeps_no_rows(factor) {
                continue;
            }
            let name = Ident::new(format!("{ALIAS}{}", self.ttl_ms));
            let inner = TableWithJoins { relation: factor.clone(), joins: vec![] };
            *factor =
                TableFactor::NestedJoin { table_with_joins: Box::new(inner), alias: Some(table_alias(name)) };
        }
        found
    }

    fn names(&self, factor: &TableFactor) -> bool {
        let alias = match factor {
            TableFactor::Table { alias, .. }
            | TableFactor::Derived { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::MatchRecognize { alias, .. } => alias,
            _ => return false,
        };
        let own = match (alias, factor) {
            (Some(alias), _) => Some(&alias.name),
            (None, TableFactor::Table { name, .. }) => match name.0.last() {
                Some(ObjectNamePart::Identifier(name)) => Some(name),
                _ => None,
            },
            _ => None,
        };
        own.is_some_and(|name| name.value == self.table.value)
    }

    /// The error of a hint whose table nobody knows.
    pub fn unknown(&self) -> PlanError {
        PlanError::invalid(format!(
            "hint STATE_TTL names '{}', which is no table of this SELECT: name one as FROM does, by its alias where it has \
             one",
            self.table.value
        ))
        .at(self.table.span)
    }
}

/// Tables that are looked up or cut into windows are kept as long as time says.
fn keeps_no_rows(factor: &TableFactor) -> bool {
    match factor {
        TableFactor::Table { version, .. } => {
            matches!(version, Some(TableVersion::ForSystemTimeAsOf(_)))
        }
        TableFactor::Derived { .. } => false,
        _ => true,
    }
}

/// The table in parentheses that a hint stands for.
pub(crate) fn ttl_relation(relation: TableFactor) -> Result<(u64, TableFactor), Box<TableFactor>> {
    match relation {
        TableFactor::NestedJoin { table_with_joins, alias: Some(alias) } => match state_ttl_ms(&alias) {
            Some(ttl_ms) => Ok((ttl_ms, table_with_joins.relation)),
            None => Err(Box::new(TableFactor::NestedJoin { table_with_joins, alias: Some(alias) })),
        },
        relation => Err(Box::new(relation)),
    }
}

/// Milliseconds that an alias of a hint says.
fn state_ttl_ms(alias: &TableAlias) -> Option<u64> {
    alias.name.value.strip_prefix(ALIAS)?.parse().ok()
}
