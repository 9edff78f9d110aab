//! `WITH a AS (..), a AS (..)`: the last of a name counts.

use crate::walk::{walk, walk_mut};
use sqlparser::ast::{ObjectName, Query, Visitor, VisitorMut, With};
use std::convert::Infallible;
use std::ops::ControlFlow;

/// Takes the tables of WITH away that a later one of their name hides, where nothing between reads them. The others are left
/// for the planner to refuse.
pub(super) fn drop_hidden_tables(query: &mut Query) {
    let _ = walk_mut(query, &mut Dropper);
}

struct Dropper;

impl VisitorMut for Dropper {
    type Break = Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Infallible> {
        if let Some(with) = &mut query.with {
            while let Some(place) = hidden_table(with) {
                with.cte_tables.remove(place);
            }
        }
        ControlFlow::Continue(())
    }
}

fn hidden_table(with: &With) -> Option<usize> {
    let tables = &with.cte_tables;
    tables.iter().enumerate().position(|(place, table)| {
        let name = &table.alias.name.value;
        let again = tables[place + 1..].iter().position(|later| later.alias.name.value == *name);
        let Some(again) = again.map(|after| place + 1 + after) else { return false };
        tables[place + 1..=again].iter().all(|between| !reads(&between.query, name))
    })
}

fn reads(query: &Query, name: &str) -> bool {
    walk(query, &mut Reader { name }).is_err()
}

struct Reader<'a> {
    name: &'a str,
}

impl Visitor for Reader<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        match &relation.0[..] {
            [part] if part.as_ident().is_some_and(|part| part.value == self.name) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}
