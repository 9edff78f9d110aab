//! Changes by the key of a query as changes by the primary key of its sink, each as soon as the watermark says that it is whole.

use crate::calc::batch_of;
use crate::distinct::state_fields;
use crate::identity::{Identities, Identity};
use crate::kept_lists::KeptLists;
use crate::partitions::kept_columns;
use crate::progress::{load_progress, save_progress};
use crate::{Operator, OperatorContext, OperatorError, Output, Progress};
use arrow::array::{ArrayRef, AsArray, Int8Array, Int64Array, RecordBatch};
use arrow::datatypes::{Int8Type, Int64Type, Schema, SchemaRef};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use weir_state::{Namespace, StateId, TimeDomain};
use weir_types::{
    ChangelogBatch, JobSettings, OnConflict, OperatorId, RowKind, RowKinds, SinkMaterializeSpec, SqlType,
    Watermark,
};

const VOID: Namespace = Namespace::Void;

/// What a kept row is to its primary key.
const WRITTEN: i8 = 0;
const COMES: i8 = 1;
const GOES: i8 = 2;

/// ON CONFLICT DO ERROR and DO NOTHING, as in Flink's FLIP-558. Changes of a primary key that come between two watermarks may
/// be in disorder: a row may arrive before the one that it replaces is taken back. They are kept until the watermark rises;
/// what is left of them and of the row that was written before is the row that the sink is to have. Of several, the first
/// is written, or the job fails.
///
/// Where the row that was written is taken back and several others are there, the first of these is written. Flink keeps the
/// one that is gone.
pub(crate) struct SinkCompact {
    name: String,
    spec: SinkMaterializeSpec,
    /// columns of the input, then [`Self::role`] and [`Self::due`]
    kept_schema: SchemaRef,
    schema: SchemaRef,
    /// by primary key; a row is kept without the columns of that, with what it is to the key and the time when it counts
    lists: KeptLists,
    timers: Option<StateId>,
    /// by which the query tells rows of a primary key apart; `None`: by whole rows
    telling: Option<Identity>,
    whole: Identity,
    ttl_ms: Option<u64>,
    /// the watermark
    progress: i64,
}

/// A kept row that counts by now.
#[derive(Clone, Copy)]
struct Row {
    slot: u32,
    /// its place among the rows that were loaded
    place: usize,
    role: i8,
}

/// Rows by what tells them apart, in the order of their arrival.
#[derive(Default)]
struct InOrder<'a> {
    rows: Vec<Option<Row>>,
    by: BTreeMap<&'a [u8], VecDeque<usize>>,
}

impl<'a> InOrder<'a> {
    fn push(&mut self, key: &'a [u8], row: Row) {
        self.by.entry(key).or_default().push_back(self.rows.len());
        self.rows.push(Some(row));
    }

    /// Takes out the first row of `key`.
    fn take(&mut self, key: &[u8]) {
        if let Some(place) = self.by.get_mut(key).and_then(VecDeque::pop_front) {
            self.rows[place] = None;
        }
    }

    /// Puts `row` where the first one of its key is, or at the end.
    fn replace(&mut self, key: &'a [u8], row: Row) {
        match self.by.get(key).and_then(|places| places.front()) {
            Some(place) => self.rows[*place] = Some(row),
            None => self.push(key, row),
        }
    }
}

/// What the sink is told, and what is forgotten.
#[derive(Default)]
struct Outcome {
    /// list, slot of the row
    changes: Vec<(usize, u32, RowKind)>,
    written: Vec<u32>,
    gone: Vec<u32>,
}

impl Outcome {
    /// `first` of a list is to be in the sink, which has `written`.
    fn settle(&mut self, list: usize, written: Option<Row>, first: Option<Row>, whole: &Identities) {
        let change = match (written, first) {
            (None, None) => None,
            (None, Some(first)) => Some((first, RowKind::Insert)),
            (Some(written), None) => Some((written, RowKind::Delete)),
            (Some(written), Some(first)) => {
                (whole.get(written.place) != whole.get(first.place)).then_some((first, RowKind::UpdateAfter))
            }
        };
        self.changes.extend(change.map(|(row, kind)| (list, row.slot, kind)));
        self.written.extend(first.map(|row| row.slot));
    }
}

impl SinkCompact {
    pub(crate) fn new(
        id: &OperatorId,
        spec: &SinkMaterializeSpec,
        input: SchemaRef,
        schema: SchemaRef,
        settings: &JobSettings,
    ) -> Result<Self, OperatorError> {
        let values = kept_columns(&input, &spec.keys);
        let telling = match &spec.unique {
            Some(unique) => {
                let columns = values.iter().copied().filter(|column| unique.contains(column)).collect();
                Some(Identity::new(columns, &input)?)
            }
            None => None,
        };
        let columns = input.fields().len();
        let mut fields = input.fields().to_vec();
        fields.push(Arc::new(SqlType::TinyInt.to_field("role", false)));
        fields.push(Arc::new(SqlType::BigInt.to_field("due", false)));
        Ok(SinkCompact {
            name: id.to_string(),
            spec: spec.clone(),
            telling,
            whole: Identity::new(values.clone(), &input)?,
            kept_schema: Arc::new(Schema::new(fields)),
            schema,
            lists: KeptLists::new(&spec.keys, [values, vec![columns, columns + 1]].concat()),
            timers: None,
            ttl_ms: (settings.state_ttl_ms > 0).then_some(settings.state_ttl_ms),
            progress: Watermark::NONE.0,
        })
    }

    /// The column of the kept rows that says what each is to its key.
    fn role(&self) -> usize {
        self.kept_schema.fields().len() - 2
    }

    /// The column of the kept rows with the watermark from which on each counts.
    fn due(&self) -> usize {
        self.kept_schema.fields().len() - 1
    }

    fn timers(&self) -> Result<StateId, OperatorError> {
        self.timers.ok_or_else(|| OperatorError::internal("an operator was not opened"))
    }

    /// Settles the keys whose changes are complete, up to one batch.
    fn advance(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        let keyed = &mut context.keyed;
        let Some(due) = keyed.pop_timers(self.timers()?, self.progress, context.batch_rows.max(1)) else {
            return Ok(Progress::Done);
        };
        let mut slots = Vec::new();
        let lists = self.lists.states()?.0;
        keyed.lookup(lists, VOID, &due.keys, &mut slots);
        slots.retain(|slot| *slot != weir_state::NO_SLOT);
        self.lists.grouping.group(&slots);
        let loaded = self.lists.load(keyed)?;
        let rows = self.lists.rows(keyed)?;
        let column = |column: usize| -> Result<ArrayRef, OperatorError> {
            Ok(rows.gather(self.lists.field(column)?, &loaded.slots)?)
        };
        let count = loaded.slots.len();
        let whole = self.whole.of(count, column)?;
        let by_unique = self.telling.as_ref().map(|telling| telling.of(count, column)).transpose()?;
        let telling = by_unique.as_ref().unwrap_or(&whole);
        let (roles, times) = (column(self.role())?, column(self.due())?);
        let (roles, times) = (roles.as_primitive::<Int8Type>(), times.as_primitive::<Int64Type>());
        let mut outcome = Outcome::default();
        for (list, range) in loaded.ranges().enumerate() {
            let counts = range.filter(|place| times.value(*place) <= self.progress);
            let row = |place: usize| Row { slot: loaded.slots[place], place, role: roles.value(place) };
            let counting: Vec<Row> = counts.map(row).collect();
            let written = counting.iter().copied().find(|row| row.role == WRITTEN);
            let left = self.left(&counting, &whole, telling);
            let first = left.first().copied();
            if left.len() > 1 && self.spec.on_conflict == OnConflict::Error {
                return Err(self.conflict(self.lists.grouping.slots[list], context)?);
            }
            outcome.settle(list, written, first, &whole);
            let stays = first.map(|row| row.slot);
            outcome.gone.extend(counting.iter().map(|row| row.slot).filter(|slot| Some(*slot) != stays));
        }
        self.emit(&outcome, context, output)?;
        self.keep(&outcome, context)?;
        Ok(Progress::More)
    }

    /// The rows of a key that are there when all changes have been seen, the one that was written first.
    fn left(&self, counting: &[Row], whole: &Identities, telling: &Identities) -> Vec<Row> {
        let mut rows = InOrder::default();
        for row in cancelled(counting, whole) {
            let key = telling.get(row.place);
            match row.role {
                // A row that is not there is passed over: its state has expired.
                GOES => rows.take(key),
                _ if self.spec.unique.is_some() => rows.replace(key, row),
                // The same row may be there twice.
                _ => rows.push(key, row),
            }
        }
        rows.rows.into_iter().flatten().collect()
    }

    fn emit(
        &self,
        outcome: &Outcome,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<(), OperatorError> {
        let lists = self.lists.states()?.0;
        for changes in outcome.changes.chunks(context.batch_rows.max(1)) {
            let of_keys: Vec<u32> =
                changes.iter().map(|(list, ..)| self.lists.grouping.slots[*list]).collect();
            let keys = context.keyed.keys(lists, VOID, &of_keys);
            let keys: Vec<ArrayRef> = context.keyed.encoder(lists).decode(&keys)?;
            let slots: Vec<u32> = changes.iter().map(|(_, slot, _)| *slot).collect();
            let rows = self.lists.rows(&mut context.keyed)?;
            let column = |column: usize| match self.spec.keys.iter().position(|key| *key == column) {
                Some(key) => Ok(keys[key].clone()),
                None => Ok(rows.gather(self.lists.field(column)?, &slots)?),
            };
            let columns = (0..self.role()).map(column).collect::<Result<Vec<_>, OperatorError>>()?;
            let kinds: Vec<RowKind> = changes.iter().map(|(.., kind)| *kind).collect();
            let batch = batch_of(self.schema.clone(), columns, changes.len())?;
            output.batch(ChangelogBatch::new(batch, Some(RowKinds::from(kinds))));
        }
        Ok(())
    }

    /// Writes what has become of the rows.
    fn keep(&self, outcome: &Outcome, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let count = outcome.written.len();
        let roles: ArrayRef = Arc::new(Int8Array::from(vec![WRITTEN; count]));
        let times: ArrayRef = Arc::new(Int64Array::from(vec![i64::MIN; count]));
        let mut rows = self.lists.rows(&mut context.keyed)?;
        rows.scatter(self.lists.field(self.role())?, &outcome.written, &roles);
        rows.scatter(self.lists.field(self.due())?, &outcome.written, &times);
        self.lists.delete(&outcome.gone, &mut context.keyed)
    }

    /// Several rows of the primary key in `slot`.
    fn conflict(&self, slot: u32, context: &mut OperatorContext) -> Result<OperatorError, OperatorError> {
        let lists = self.lists.states()?.0;
        let keys = context.keyed.keys(lists, VOID, &[slot]);
        let keys: Vec<ArrayRef> = context.keyed.encoder(lists).decode(&keys)?;
        let options = FormatOptions::default().with_null("NULL");
        let value = |(column, values): (&usize, &ArrayRef)| -> Result<String, OperatorError> {
            let text = ArrayFormatter::try_new(values.as_ref(), &options)?.value(0).to_string();
            Ok(format!("{} = {text}", self.schema.field(*column).name()))
        };
        let key = self.spec.keys.iter().zip(&keys).map(value).collect::<Result<Vec<_>, _>>()?;
        Ok(OperatorError::Evaluation(format!(
            "cannot write to '{}': several rows of the query have the primary key {} (ON CONFLICT DO ERROR); write the first \
             of them with DO NOTHING, the last with DO DEDUPLICATE",
            self.spec.sink,
            key.join(", ")
        )))
    }
}

/// The rows without those that one change brings and another takes, in whatever order these have come.
fn cancelled<'a>(counting: &[Row], whole: &'a Identities) -> impl Iterator<Item = Row> + use<'a> {
    let (mut rows, mut coming, mut going) = (vec![], BTreeMap::new(), BTreeMap::new());
    for row in counting {
        let key: &'a [u8] = whole.get(row.place);
        let (own, other): (&mut BTreeMap<_, Vec<usize>>, _) = match row.role {
            COMES => (&mut coming, &mut going),
            GOES => (&mut going, &mut coming),
            _ => {
                rows.push(Some(*row));
                continue;
            }
        };
        match other.get_mut(key).and_then(Vec::pop) {
            Some(place) => rows[place] = None,
            None => {
                own.entry(key).or_default().push(rows.len());
                rows.push(Some(*row));
            }
        }
    }
    rows.into_iter().flatten()
}

impl Operator for SinkCompact {
    fn open(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        let schema = self.kept_schema.clone();
        self.lists.open((&self.name, "keys"), Vec::new(), self.ttl_ms, &schema, context)?;
        let keys = state_fields(Vec::new(), &self.spec.keys, &schema)?;
        let timers = format!("{}/timers", self.name);
        self.timers = Some(context.keyed.register_timers(timers, keys, TimeDomain::EventTime)?);
        self.progress = load_progress(&self.name, context);
        Ok(())
    }

    fn on_batch(
        &mut self,
        _input: usize,
        batch: ChangelogBatch,
        context: &mut OperatorContext,
        _output: &mut Output,
    ) -> Result<(), OperatorError> {
        // They count from the next watermark on.
        let due = self.progress.saturating_add(1);
        let role = |row: usize| if batch.kind(row).is_retraction() { GOES } else { COMES };
        let mut columns = batch.rows().columns().to_vec();
        columns.push(Arc::new(Int8Array::from_iter_values((0..batch.num_rows()).map(role))));
        columns.push(Arc::new(Int64Array::from(vec![due; batch.num_rows()])));
        let rows = RecordBatch::try_new(self.kept_schema.clone(), columns)?;
        let timers = self.timers()?;
        let keyed = &mut context.keyed;
        self.lists.resolve(&rows, keyed)?;
        let grouping = &self.lists.grouping;
        let lists: Vec<u32> = grouping.groups.iter().map(|group| grouping.slots[*group as usize]).collect();
        self.lists.append(&rows, (0..batch.num_rows() as u32).collect(), &lists, keyed)?;
        let keys = keyed.keys(self.lists.states()?.0, VOID, &grouping.slots);
        keyed.add_timers(timers, &keys, &vec![due; grouping.slots.len()], VOID);
        Ok(())
    }

    fn on_watermark(
        &mut self,
        watermark: Watermark,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        // A watermark that does not rise comes after a restart: what was due then may still be owed.
        self.progress = self.progress.max(watermark.0);
        self.advance(context, output)
    }

    fn resume(
        &mut self,
        context: &mut OperatorContext,
        output: &mut Output,
    ) -> Result<Progress, OperatorError> {
        self.advance(context, output)
    }

    fn snapshot(&mut self, context: &mut OperatorContext) -> Result<(), OperatorError> {
        save_progress(&self.name, self.progress, context);
        Ok(())
    }
}
