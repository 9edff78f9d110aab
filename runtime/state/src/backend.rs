//! All keyed states of one subtask.

use crate::StateError;
use crate::descriptor::{Namespace, NamespaceKind, StateDescriptor, StateKind};
use crate::disk::marks::Marks;
use crate::disk::{Disk, RocksDb, StateDisk};
use crate::history::History;
use crate::links::Links;
use crate::resolve::Slots;
use crate::restore::Restored;
use crate::row_layout::{RowKey, RowLayout};
use crate::row_store::PagePools;
use crate::rows::Rows;
use crate::slot_table::SlotTable;
use crate::snapshot::{StateIndex, index_of};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use weir_types::{EncodedKeys, KeyEncoder, KeyGroupRange, KeyShape};

/// A state that was registered with a [`KeyedStateBackend`]. Valid for that backend only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateId(pub(crate) u32);

/// One namespace of one state.
pub(crate) struct Table {
    pub(crate) slots: SlotTable,
    /// of Map and List states
    pub(crate) links: Links,
    /// of backends with a disk
    pub(crate) marks: Marks,
}

/// Rows of a batch whose state stays in the second-level cache from resolving to updating, with some room to
/// spare.
pub const CACHED_ROWS: usize = 1024;

/// Tables of dropped namespaces that are kept for the next one.
const SPARE_TABLES: usize = 2;

pub(crate) struct State {
    pub(crate) descriptor: StateDescriptor,
    pub(crate) layout: Arc<RowLayout>,
    pub(crate) pools: Arc<PagePools>,
    /// of the key; of a Map state of the map key
    pub(crate) encoder: KeyEncoder,
    pub(crate) parent: Option<StateId>,
    pub(crate) children: Vec<StateId>,
    pub(crate) tables: BTreeMap<Namespace, Table>,
    spare: Vec<Table>,
    /// the number of the next entry of a List state
    pub(crate) next_sequence: u64,
    /// times and slots of timers, the earliest on top; may hold timers that no longer exist, but not on top
    pub(crate) due: BinaryHeap<Reverse<(i64, u32)>>,
    pub(crate) disk: StateDisk,
}

impl State {
    pub(crate) fn shape(&self) -> KeyShape {
        self.encoder.shape()
    }

    /// The shape of the keys in its rows: in those of timers, time and namespace stand before the key.
    pub(crate) fn row_shape(&self) -> KeyShape {
        match self.descriptor.kind.is_timers() {
            true => KeyShape::Bytes,
            false => self.shape(),
        }
    }

    pub(crate) fn is_list(&self) -> bool {
        self.descriptor.kind == StateKind::List
    }

    pub(crate) fn table_mut(&mut self, namespace: Namespace) -> &mut Table {
        if !self.tables.contains_key(&namespace) {
            let kind = self.descriptor.namespace;
            let fits = matches!(
                (kind, namespace),
                (NamespaceKind::Void, Namespace::Void) | (NamespaceKind::Window, Namespace::Window(_))
            );
            assert!(fits, "state {} has namespaces of kind {kind:?}, not {namespace}", self.descriptor.name);
        }
        self.tables.entry(namespace).or_insert_with(|| {
            if let Some(mut spare) = self.spare.pop() {
                spare.slots.rows.enter_interval(self.pools.interval());
                return spare;
            }
            Table {
                slots: SlotTable::new(self.layout.clone(), self.pools.clone()),
                links: Links::default(),
                marks: Marks::default(),
            }
        })
    }

    fn drop_table(&mut self, namespace: Namespace) {
        if let Some(table) = self.tables.remove(&namespace)
            && self.spare.len() < SPARE_TABLES
        {
            let slots = table.slots.recycle(self.pools.clone());
            self.spare.push(Table { slots, links: Links::default(), marks: Marks::default() });
        }
    }
}

/// The keyed states of one subtask, for the keys of one range of key groups, on the heap.
///
/// States are registered with descriptors. Entries of a *Value* state are found by key and namespace and have
/// rows of typed fields. Entries of a *Map* or *List* state hang under an entry of another state, their
/// parent, in the parent's namespace; they go when it goes. All access is by batch:
/// [`KeyedStateBackend::resolve`] turns keys into *slots*, and [`Rows`] reads and writes fields at slots. A
/// slot stays the same until its entry is deleted or expires, its namespace is dropped, or
/// [`KeyedStateBackend::trim`] is called: operators keep none from call to call.
///
/// ```
/// # use std::sync::Arc;
/// # use arrow::array::{ArrayRef, Int64Array};
/// # use weir_types::{KeyGroupRange, SqlField, SqlType};
/// # use weir_state::{KeyedStateBackend, Namespace, NamespaceKind, Slots, StateDescriptor};
/// let mut backend = KeyedStateBackend::new(KeyGroupRange { start: 0, end: 128 }, 128);
/// let sums = backend.register(StateDescriptor::value(
///     "agg/sums",
///     vec![SqlField::new("k", SqlType::BigInt, true)],
///     NamespaceKind::Void,
///     vec![SqlField::new("sum", SqlType::BigInt, true)],
/// ))?;
/// let keys: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 1]));
/// let keys = backend.encoder(sums).encode(&[keys], 3)?;
/// let mut found = Slots::default();
/// backend.resolve(sums, Namespace::Void, &keys, &mut found);
/// let sum = backend.rows(sums, Namespace::Void).column::<i64>(0);
/// for (&slot, value) in found.slots.iter().zip([10, 20, 30]) {
///     sum.update_option(slot, |sum| sum.unwrap_or(0) + value);
/// }
/// assert_eq!(sum.get_option(found.slots[0]), Some(40));
/// assert_eq!(found.created, [0, 1]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
///
/// # Panics
/// Methods panic on what only a defect of the caller can bring about: a state of another kind than the method
/// serves, keys of another shape than the state's, a slot beyond its table.
pub struct KeyedStateBackend {
    pub(crate) range: KeyGroupRange,
    pub(crate) max_parallelism: u32,
    pub(crate) states: Vec<State>,
    pub(crate) names: BTreeMap<String, StateId>,
    /// milliseconds since the epoch, for time to live
    pub(crate) now_ms: i64,
    /// which snapshots were taken, and which of them later ones may refer to
    pub(crate) history: History,
    /// states that were restored and wait to be registered
    pub(crate) restored: BTreeMap<String, Vec<Restored>>,
    /// where entries are that the tables do not hold; `None`: nowhere, the tables hold all
    pub(crate) disk: Option<Box<Disk>>,
    /// what shall make a disk, with a name for it, once there is a state
    pub(crate) disk_to_be: Option<(Arc<RocksDb>, u64)>,
    /// of a backend in memory: for files that are read while states are restored
    pub(crate) scratch: Option<PathBuf>,
}

impl KeyedStateBackend {
    /// A backend without states for the keys of `range` among `max_parallelism` key groups.
    pub fn new(range: KeyGroupRange, max_parallelism: u32) -> Self {
        KeyedStateBackend {
            range,
            max_parallelism,
            states: Vec::new(),
            names: BTreeMap::new(),
            now_ms: 0,
            history: History::default(),
            restored: BTreeMap::new(),
            disk: None,
            disk_to_be: None,
            scratch: None,
        }
    }

    /// With a directory in which a [`crate::WorkDirectory`] may be made while states are restored: a backend in memory
    /// needs one for snapshots of one on disk.
    pub fn with_scratch_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.scratch = Some(directory.into());
        self
    }

    pub fn key_groups(&self) -> KeyGroupRange {
        self.range
    }

    pub fn max_parallelism(&self) -> u32 {
        self.max_parallelism
    }

    /// Registers a Value state.
    ///
    /// # Errors
    /// [`StateError::Descriptor`] if the name is taken, a key column has a type that cannot be a key, or a
    /// restored state of this name looks otherwise.
    pub fn register(&mut self, descriptor: StateDescriptor) -> Result<StateId, StateError> {
        assert!(descriptor.kind == StateKind::Value, "{} has no parent", descriptor.name);
        let encoder = StateDescriptor::encoder(&descriptor.key_fields)?;
        self.add(descriptor, encoder, None)
    }

    /// Registers a Map or List state whose entries hang under those of `parent`: of a Value state, or of a
    /// Map state.
    ///
    /// # Errors
    /// As [`KeyedStateBackend::register`].
    pub fn register_under(
        &mut self,
        parent: StateId,
        mut descriptor: StateDescriptor,
    ) -> Result<StateId, StateError> {
        assert!(descriptor.kind != StateKind::Value, "{} has no parent", descriptor.name);
        if descriptor.ttl_ms.is_some() {
            return Err(StateError::Descriptor(format!(
                "state {} has a time to live of its own, but its entries go with those of {}; set it there",
                descriptor.name,
                self.descriptor(parent).name
            )));
        }
        let above = &self.state(parent).descriptor;
        descriptor.key_fields = above.key_fields.iter().chain(&above.map_key_fields).cloned().collect();
        (descriptor.namespace, descriptor.window_ms) = (above.namespace, above.window_ms);
        descriptor.slices = above.slices;
        let encoder = StateDescriptor::encoder(&descriptor.map_key_fields)?;
        self.add(descriptor, encoder, Some(parent))
    }

    pub(crate) fn add(
        &mut self,
        descriptor: StateDescriptor,
        encoder: KeyEncoder,
        parent: Option<StateId>,
    ) -> Result<StateId, StateError> {
        if self.names.contains_key(&descriptor.name) {
            return Err(StateError::Descriptor(format!("state {} is registered twice", descriptor.name)));
        }
        self.create_disk()?;
        let key = RowKey::of_kind(descriptor.kind, encoder.shape());
        let layout = RowLayout::new(key, &descriptor.value_fields, descriptor.ttl_ms.is_some())?;
        let layout = Arc::new(layout);
        let pools = PagePools::new(layout.stride, self.history.interval());
        let id = StateId(self.states.len() as u32);
        self.names.insert(descriptor.name.clone(), id);
        if let Some(parent) = parent {
            let above = &mut self.states[parent.0 as usize];
            above.children.push(id);
            above.disk.may_drop.store(false, Ordering::Relaxed);
        }
        let disk = StateDisk::new(&layout);
        self.states.push(State {
            descriptor,
            layout,
            pools,
            encoder,
            parent,
            children: Vec::new(),
            tables: BTreeMap::new(),
            spare: Vec::new(),
            next_sequence: 0,
            due: BinaryHeap::new(),
            disk,
        });
        self.load(id)?;
        Ok(id)
    }

    pub(crate) fn state(&self, state: StateId) -> &State {
        &self.states[state.0 as usize]
    }

    pub(crate) fn state_mut(&mut self, state: StateId) -> &mut State {
        &mut self.states[state.0 as usize]
    }

    pub(crate) fn table(&self, state: StateId, namespace: Namespace) -> Option<&Table> {
        self.state(state).tables.get(&namespace)
    }

    /// What `state` was registered as, with the key columns of its parent filled in.
    pub fn descriptor(&self, state: StateId) -> &StateDescriptor {
        &self.state(state).descriptor
    }

    /// What the index of a snapshot says of each state, in the order of their registration; no segments.
    pub fn describe(&self) -> Vec<StateIndex> {
        let parent = |state: &State| state.parent.map(|parent| self.descriptor(parent).name.clone());
        self.states.iter().map(|state| index_of(state, parent(state))).collect()
    }

    /// All states, in the order of their registration.
    pub fn states(&self) -> impl Iterator<Item = StateId> + '_ {
        (0..self.states.len() as u32).map(StateId)
    }

    /// The encoder for the keys of a Value state, or for the map keys of a Map state.
    pub fn encoder(&self, state: StateId) -> &KeyEncoder {
        &self.state(state).encoder
    }

    /// Sets the processing time that time to live is measured by, in milliseconds since the epoch. The driver
    /// calls it before each batch.
    pub fn set_time(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
        self.set_disk_time();
    }

    /// [`KeyedStateBackend::set_time`] before states are registered: what is restored without a time of last access counts
    /// as accessed now. Nothing is dropped from files yet, since who registers what hangs under an entry does so after it.
    pub fn open_at(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// Ends the validity of all slots that were handed out, so that a backend that keeps entries in files can bring its
    /// cache back within its bounds. The driver calls it before each call of an operator; an operator that goes over
    /// much of a state in one call does so itself where it holds no slots.
    pub fn trim(&mut self) {
        if self.disk.is_some() {
            self.trim_disk();
        }
    }

    /// What went wrong in the files of this backend since the last call. What it returned meanwhile is void: the driver
    /// asks after each call of an operator, before anyone sees what that emitted.
    ///
    /// # Errors
    /// [`StateError::Storage`]. The backend is of no use any more.
    pub fn check(&mut self) -> Result<(), StateError> {
        self.take_failure()
    }

    /// The slots of `keys` in `namespace` of a Value state. Keys without an entry get one: nullable fields
    /// NULL, all others zero. The entries count as accessed now; expired ones are as new and are reported as
    /// created.
    pub fn resolve(&mut self, state: StateId, namespace: Namespace, keys: &EncodedKeys, out: &mut Slots) {
        self.resolve_range(state, namespace, keys, 0..keys.len(), out);
    }

    /// [`KeyedStateBackend::resolve`] for the keys at `rows`; positions in `out` count from the start of
    /// `rows`.
    ///
    /// With many entries, resolving and updating a batch in parts of [`CACHED_ROWS`] keeps the rows in the
    /// second-level cache between the two.
    pub fn resolve_range(
        &mut self,
        state: StateId,
        namespace: Namespace,
        keys: &EncodedKeys,
        rows: Range<usize>,
        out: &mut Slots,
    ) {
        self.check_keys(state, keys, StateKind::Value);
        self.settle_handed(state, namespace);
        // Before keys that were drained come again.
        self.bury_drained(state, namespace);
        let start = rows.start;
        let table = self.state_mut(state).table_mut(namespace);
        table.slots.resolve(keys, rows, out);
        self.load_resolved(state, namespace, keys, start, out);
        self.touch(state, namespace, out);
    }

    /// The slots of `keys` in `namespace` of a Value state, [`crate::NO_SLOT`] for those without an entry.
    /// Does not count as an access; expired entries are not there.
    pub fn lookup(&mut self, state: StateId, namespace: Namespace, keys: &EncodedKeys, out: &mut Vec<u32>) {
        self.check_keys(state, keys, StateKind::Value);
        self.settle_handed(state, namespace);
        match self.table(state, namespace) {
            Some(table) => table.slots.lookup(keys, out),
            None => {
                out.clear();
                out.resize(keys.len(), crate::NO_SLOT);
            }
        }
        self.load_looked_up(state, namespace, keys, out);
        self.hide_expired(state, namespace, out);
    }

    pub(crate) fn check_keys(&self, state: StateId, keys: &EncodedKeys, kind: StateKind) {
        let state = self.state(state);
        let descriptor = &state.descriptor;
        assert!(
            descriptor.kind == kind,
            "{} is a {:?} state, not {kind:?}",
            descriptor.name,
            descriptor.kind
        );
        assert!(
            keys.shape() == state.shape(),
            "keys of {:?} for state {}, whose keys are {:?}",
            keys.shape(),
            descriptor.name,
            state.shape()
        );
    }

    /// The rows of `namespace` of any state. The namespace exists from now on.
    pub fn rows(&mut self, state: StateId, namespace: Namespace) -> Rows<'_> {
        Rows::new(&mut self.state_mut(state).table_mut(namespace).slots)
    }

    /// The rows of two tables at once, to move what is in one to the other.
    ///
    /// # Panics
    /// If both are the same.
    pub fn rows_of_two(
        &mut self,
        first: (StateId, Namespace),
        second: (StateId, Namespace),
    ) -> (Rows<'_>, Rows<'_>) {
        assert!(first != second, "the rows of two tables are asked for, but both are the same");
        self.state_mut(first.0).table_mut(first.1);
        self.state_mut(second.0).table_mut(second.1);
        let mut table = |(state, namespace): (StateId, Namespace)| -> *mut SlotTable {
            &raw mut self.state_mut(state).tables.get_mut(&namespace).expect("made above").slots
        };
        let (first, second) = (table(first), table(second));
        // SAFETY: two different tables, both borrowed from `self` for as long as the result lives.
        unsafe { (Rows::new(&mut *first), Rows::new(&mut *second)) }
    }

    /// The keys of the entries at `slots` of a Value state, or the map keys of those of a Map state, encoded;
    /// [`KeyedStateBackend::encoder`] decodes them.
    pub fn keys(&self, state: StateId, namespace: Namespace, slots: &[u32]) -> EncodedKeys {
        let entry = self.state(state);
        assert!(!entry.is_list(), "entries of the list {} have no key", entry.descriptor.name);
        let under_parent = entry.parent.is_some();
        match entry.tables.get(&namespace) {
            Some(table) => table.slots.keys(slots, entry.shape(), under_parent),
            None => {
                assert!(slots.is_empty(), "state {} has no entries for {namespace}", entry.descriptor.name);
                entry.encoder.from_canonical(&[0], &[]).expect("no keys have any shape")
            }
        }
    }

    /// Deletes the entries at `slots` of any state, with all that hangs under them. Slots without an entry
    /// are left out.
    pub fn delete(&mut self, state: StateId, namespace: Namespace, slots: &[u32]) {
        for child in self.state(state).children.clone() {
            self.clear_under(child, namespace, slots);
        }
        self.remove_entries(state, namespace, slots);
    }

    /// Drops `namespace` of `state`, with all that hangs under it: the cost is that of its pages, not of its
    /// entries. Memory is kept for the next namespace.
    pub fn drop_namespace(&mut self, state: StateId, namespace: Namespace) {
        for child in self.state(state).children.clone() {
            self.drop_namespace(child, namespace);
        }
        self.bury_namespace(state, namespace);
        self.state_mut(state).drop_table(namespace);
    }

    /// The namespaces of `state` that exist, in order.
    pub fn namespaces(&self, state: StateId) -> impl Iterator<Item = Namespace> + '_ {
        self.state(state).tables.keys().copied()
    }

    /// The earliest window of `state` that ends at or before `end_ms`: what is due at a watermark of `end_ms
    /// - 1`. Windows need no timers.
    pub fn first_window_until(&self, state: StateId, end_ms: i64) -> Option<i64> {
        match self.state(state).tables.first_key_value() {
            Some((&Namespace::Window(end), _)) if end <= end_ms => Some(end),
            _ => None,
        }
    }

    /// The number of entries in `namespace` of `state`, those that have expired included until they are
    /// swept. Goes over all of them if some are on disk alone.
    pub fn len(&self, state: StateId, namespace: Namespace) -> usize {
        match self.table(state, namespace) {
            Some(table) if table.marks.partly => self.disk_len(state, namespace),
            table => table.map_or(0, |table| table.slots.rows.live()),
        }
    }

    /// The number of entries in `namespace` of `state` if all of them are in memory: what is looked up among many in parts
    /// of [`CACHED_ROWS`] stays cached. `None` if some are on disk alone: many are fetched together best.
    pub fn entries_in_memory(&self, state: StateId, namespace: Namespace) -> Option<usize> {
        match self.table(state, namespace) {
            Some(table) => (!table.marks.partly).then(|| table.slots.rows.live()),
            None => Some(0),
        }
    }

    /// Whether `namespace` of `state` has no entries.
    pub fn is_empty(&self, state: StateId, namespace: Namespace) -> bool {
        self.len(state, namespace) == 0
    }

    /// Bytes of memory that `state` holds, without spare pages.
    pub fn memory_bytes(&self, state: StateId) -> usize {
        let tables = self.state(state).tables.values();
        tables.map(|table| table.slots.bytes() + table.links.bytes()).sum()
    }
}

#[cfg(test)]
mod tests;
