//! The synchronous part of a snapshot: which pages it shares, and what of them is to be written.

use super::{Captured, Captures, Snapshot, SnapshotMode, StateIndex, TableView, Work, index_of};
use crate::backend::{KeyedStateBackend, State, StateId, Table};
use crate::chain::{PAGES_PER_SEGMENT, Step};
use crate::descriptor::{Namespace, StateKind};
use crate::held::{Held, Wanted};
use crate::history::History;
use crate::row_layout::RowLayout;
use crate::segment::{Gathered, PartKind};
use crate::snapshot::SegmentId;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_types::{CheckpointId, KeyShape};

impl KeyedStateBackend {
    /// Takes a snapshot: the synchronous part, which costs some nanoseconds a page. `checkpoint` is higher
    /// than that of any snapshot before. Ends the validity of slots, as [`KeyedStateBackend::trim`] does: rows that were
    /// written meanwhile leave memory.
    pub fn snapshot(&mut self, checkpoint: CheckpointId, mode: SnapshotMode) -> Snapshot {
        let disk = self.snapshot_disk(checkpoint);
        let mut taking = Taking { checkpoint, history: &mut self.history, number: 0, work: Vec::new() };
        let mut states: Vec<(StateIndex, Captures)> = Vec::new();
        let mut views: Vec<Vec<Arc<TableView>>> = Vec::new();
        let names: Vec<String> = self.states.iter().map(|state| state.descriptor.name.clone()).collect();
        for state in &mut self.states {
            let mut captures = Vec::new();
            let mut own_views = Vec::new();
            let (parent, has_children) = (state.parent, !state.children.is_empty());
            let (kind, layout, shape) = (state.descriptor.kind, state.layout.clone(), state.row_shape());
            for (&namespace, table) in &mut state.tables {
                let parent_view = parent.and_then(|parent: StateId| {
                    let of_parent: &Vec<Arc<TableView>> = &views[parent.0 as usize];
                    of_parent.iter().find(|view| view.namespace == namespace).cloned()
                });
                if parent.is_some() && parent_view.is_none() {
                    // Nothing can hang under what does not exist.
                    continue;
                }
                let view = view(table, kind, &layout, shape, namespace, parent_view, has_children);
                own_views.push(view.clone());
                let captured = match mode {
                    SnapshotMode::Incremental if !view.is_below_drained() => taking.changes(&view, table),
                    // Entries go with those that they hang under, and nothing of theirs is written then.
                    SnapshotMode::Incremental | SnapshotMode::Full => taking.whole(&view, table),
                };
                captures.extend(captured.into_iter().map(|captured| (namespace, captured)));
            }
            let parent_name = parent.map(|parent| names[parent.0 as usize].clone());
            states.push((index_of(state, parent_name), captures));
            views.push(own_views);
        }
        let work = taking.work.into_iter();
        let interval = match mode {
            SnapshotMode::Incremental => self.history.take(checkpoint),
            SnapshotMode::Full => self.history.pass(),
        };
        self.states.iter_mut().for_each(|state| state.enter_interval(interval));
        Snapshot {
            checkpoint,
            key_groups: self.range,
            max_parallelism: self.max_parallelism,
            states,
            work,
            gathered: Gathered::default(),
            disk,
        }
    }

    /// The checkpoint to which the snapshot of this number belongs is complete: later snapshots may refer to
    /// what it wrote. Full snapshots are not referred to.
    pub fn notify_complete(&mut self, checkpoint: CheckpointId) {
        self.history.complete(checkpoint);
    }

    /// The next incremental snapshot writes anew what these checkpoints hold, so that nothing refers to their
    /// segments any more: storage asks for it when most of what they wrote is of no use. Of large tables it writes a
    /// part, and storage asks again.
    pub fn rewrite(&mut self, written_by: &BTreeSet<CheckpointId>) {
        for state in &mut self.states {
            state.tables.values_mut().for_each(|table| table.slots.rows.forget(written_by));
        }
    }

    /// A table as it is now, with the tables that it hangs under. Nothing keeps it from being changed.
    pub(crate) fn view(&self, id: StateId, namespace: Namespace) -> Arc<TableView> {
        let state = self.state(id);
        let parent = state.parent.map(|parent| self.view(parent, namespace));
        let (kind, table) = (state.descriptor.kind, &state.tables[&namespace]);
        view(table, kind, &state.layout, state.row_shape(), namespace, parent, true)
    }
}

impl State {
    /// Rows are stamped with this interval from now on.
    fn enter_interval(&mut self, interval: u32) {
        self.pools.enter_interval(interval);
        self.tables.values_mut().for_each(|table| table.slots.rows.enter_interval(interval));
    }
}

/// A snapshot that is being taken.
struct Taking<'a> {
    checkpoint: CheckpointId,
    history: &'a mut History,
    /// of the next segment
    number: u32,
    work: Vec<Work>,
}

impl Taking<'_> {
    fn write(
        &mut self,
        view: &Arc<TableView>,
        held: &Arc<Held>,
        pages: Vec<u32>,
        kind: PartKind,
        always: bool,
    ) -> Arc<Captured> {
        let id = SegmentId { checkpoint: self.checkpoint, number: self.number };
        self.number += 1;
        let captured = Captured::new(id, self.history.interval(), kind == PartKind::Changes);
        let (view, held) = (view.clone(), held.clone());
        self.work.push(Work { view, held, pages, kind, always, captured: captured.clone() });
        captured
    }

    /// Every page, each in a segment that stands by itself.
    fn whole(&mut self, view: &Arc<TableView>, table: &mut Table) -> Vec<Arc<Captured>> {
        let first = (view.drained >> view.shift) as usize;
        let pages = first..table.slots.rows.pages().len();
        let held = view.hold(table, first, pages.clone().map(|_| Some(Wanted::Live)));
        let write = |page| self.write(view, &held, vec![page as u32], PartKind::Alone, false);
        pages.map(write).collect()
    }

    /// What no complete checkpoint holds: pages as a whole, and of others the rows that changed. Then the segments of
    /// others that hold the rest.
    fn changes(&mut self, view: &Arc<TableView>, table: &mut Table) -> Vec<Arc<Captured>> {
        let first = (view.drained >> view.shift) as usize;
        let (steps, since) = table.slots.rows.plan(first, self.history.completed(), self.history.limits);
        let held = view.hold(table, first, steps.iter().map(|step| step.wanted()));
        let rows = &mut table.slots.rows;
        let chained = !rows.chain().is_empty() || steps.iter().any(|step| matches!(step, Step::Changed(_)));
        let (mut captures, mut changed) = (Vec::with_capacity(steps.len()), Vec::new());
        for (page, step) in (first as u32..).zip(steps) {
            let capture = rows.capture(page as usize);
            match step {
                Step::Whole => {
                    capture.base = Some(self.write(view, &held, vec![page], PartKind::Page, chained));
                }
                Step::Changed(_) => changed.push(page),
                Step::Refer => {}
            }
            captures.extend(capture.base.clone());
        }
        captures.extend(rows.chain().parts().cloned());
        let parts = changed.chunks(PAGES_PER_SEGMENT);
        // It also says where the entries begin that were not drained.
        let parts =
            parts.map(|pages| self.write(view, &held, pages.to_vec(), PartKind::Changes, view.drained > 0));
        let mut parts: Vec<Arc<Captured>> = parts.collect();
        if parts.is_empty() && chained && view.drained > 0 {
            parts.push(self.write(view, &held, Vec::new(), PartKind::Changes, true));
        }
        if !parts.is_empty() {
            captures.extend(parts.iter().cloned());
            rows.chain().add(parts, since, self.history.interval());
        }
        captures
    }
}

impl TableView {
    /// What is yet to be read of the rows of `table`, which this is a view of.
    fn hold(
        &self,
        table: &mut Table,
        first: usize,
        wanted: impl Iterator<Item = Option<Wanted>>,
    ) -> Arc<Held> {
        table.slots.rows.hold(first, wanted, self.layout.live, !self.pages.is_empty())
    }
}

fn view(
    table: &Table,
    kind: StateKind,
    layout: &Arc<RowLayout>,
    shape: KeyShape,
    namespace: Namespace,
    parent: Option<Arc<TableView>>,
    has_children: bool,
) -> Arc<TableView> {
    let rows = &table.slots.rows;
    let (shift, mask, stride) = rows.shape();
    Arc::new(TableView {
        kind,
        layout: layout.clone(),
        shape,
        namespace,
        arena: table.slots.arena.view(),
        shift,
        mask,
        stride,
        len: rows.len(),
        drained: rows.drained(),
        pages: if has_children { rows.pages().to_vec() } else { Vec::new() },
        parent,
    })
}
