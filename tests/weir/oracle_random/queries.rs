//! Queries over tables of integers: their SQL, and their rows computed from scratch.
//!
//! Each query has columns `c0`, `c1`, .. of BIGINT. Orders are by all columns: rows that are ordered alike are alike.

use std::collections::{BTreeMap, BTreeSet};

pub(super) type Value = Option<i64>;
pub(super) type Row = Vec<Value>;
/// a column of the left and one of the right
type Pair = (usize, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Inner,
    Left,
    Right,
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    CountAll,
    Count,
    CountDistinct,
    Sum,
    SumDistinct,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub function: Function,
    pub column: usize,
    /// FILTER (WHERE column > value)
    pub above: Option<(usize, i64)>,
}

/// `<`, `=` and so on.
pub(super) const COMPARISONS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// column, comparison, value
    Value(usize, usize, i64),
    /// column, comparison, column
    Columns(usize, usize, usize),
    IsNull(usize),
    Not(Box<Condition>),
    And(Box<Condition>, Box<Condition>),
    Or(Box<Condition>, Box<Condition>),
    /// column `column` NOT IN or IN the column `of` of the rows of a query
    In {
        column: usize,
        query: Box<Query>,
        of: usize,
        negated: bool,
    },
    /// a row of a query has in `inner` what is in column `outer`
    Exists {
        outer: usize,
        query: Box<Query>,
        inner: usize,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetOperation {
    Union,
    Intersect,
    Except,
}

#[derive(Clone, Debug)]
pub(super) enum Query {
    Table(usize),
    Where(Box<Query>, Condition),
    /// some columns, each row once
    Distinct(Box<Query>, Vec<usize>),
    /// groups with more than so many rows
    Group {
        input: Box<Query>,
        keys: Vec<usize>,
        calls: Vec<Call>,
        above: Option<i64>,
    },
    Join {
        kind: Kind,
        left: Box<Query>,
        right: Box<Query>,
        on: Vec<Pair>,
        less: Option<Pair>,
    },
    /// of the first columns that both have
    Set {
        operation: SetOperation,
        all: bool,
        left: Box<Query>,
        right: Box<Query>,
    },
    /// rows `from` to `to` of each partition, counted from 1
    Top {
        input: Box<Query>,
        partition: Vec<usize>,
        first: (usize, bool),
        from: usize,
        to: usize,
        numbered: bool,
    },
    /// ORDER BY .. LIMIT .. OFFSET
    Limit {
        input: Box<Query>,
        first: (usize, bool),
        skip: usize,
        rows: usize,
    },
    Over {
        input: Box<Query>,
        partition: Vec<usize>,
        first: (usize, bool),
        call: Call,
    },
    /// a scalar subquery over the rows that have in `inner` what is in column `outer`
    Scalar {
        input: Box<Query>,
        query: Box<Query>,
        outer: usize,
        inner: usize,
        call: Call,
    },
}

pub(super) struct Tables<'a>(pub &'a [Vec<Row>]);

impl Call {
    fn sql(&self, table: &str) -> String {
        let column = format!("{table}.c{}", self.column);
        let call = match self.function {
            Function::CountAll => "COUNT(*)".to_string(),
            Function::Count => format!("COUNT({column})"),
            Function::CountDistinct => format!("COUNT(DISTINCT {column})"),
            Function::Sum => format!("SUM({column})"),
            Function::SumDistinct => format!("SUM(DISTINCT {column})"),
            Function::Min => format!("MIN({column})"),
            Function::Max => format!("MAX({column})"),
        };
        match self.above {
            Some((column, value)) => format!("{call} FILTER (WHERE {table}.c{column} > {value})"),
            None => call,
        }
    }

    fn of<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Value {
        let passes =
            |row: &&Row| self.above.is_none_or(|(column, value)| row[column].is_some_and(|x| x > value));
        let rows: Vec<&Row> = rows.filter(passes).collect();
        let values = || rows.iter().filter_map(|row| row[self.column]);
        let distinct: BTreeSet<i64> = values().collect();
        let some = |sum: i64| (!distinct.is_empty()).then_some(sum);
        match self.function {
            Function::CountAll => Some(rows.len() as i64),
            Function::Count => Some(values().count() as i64),
            Function::CountDistinct => Some(distinct.len() as i64),
            Function::Sum => some(values().sum()),
            Function::SumDistinct => some(distinct.iter().sum()),
            Function::Min => distinct.first().copied(),
            Function::Max => distinct.last().copied(),
        }
    }
}

fn compared(left: Value, comparison: usize, right: Value) -> Option<bool> {
    let (left, right) = (left?, right?);
    Some(match COMPARISONS[comparison] {
        "=" => left == right,
        "<>" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    })
}

impl Condition {
    fn sql(&self, table: &str, next: &mut usize) -> String {
        match self {
            Condition::Value(column, comparison, value) => {
                format!("{table}.c{column} {} {value}", COMPARISONS[*comparison])
            }
            Condition::Columns(left, comparison, right) => {
                format!("{table}.c{left} {} {table}.c{right}", COMPARISONS[*comparison])
            }
            Condition::IsNull(column) => format!("{table}.c{column} IS NULL"),
            Condition::Not(inner) => format!("NOT ({})", inner.sql(table, next)),
            Condition::And(left, right) => {
                format!("({} AND {})", left.sql(table, next), right.sql(table, next))
            }
            Condition::Or(left, right) => {
                format!("({} OR {})", left.sql(table, next), right.sql(table, next))
            }
            Condition::In { column, query, of, negated } => {
                let not = if *negated { "NOT " } else { "" };
                let inner = alias(next);
                format!(
                    "{table}.c{column} {not}IN (SELECT {inner}.c{of} FROM ({}) AS {inner})",
                    query.sql(next)
                )
            }
            Condition::Exists { outer, query, inner } => {
                let name = alias(next);
                let rows = query.sql(next);
                format!("EXISTS (SELECT 1 FROM ({rows}) AS {name} WHERE {name}.c{inner} = {table}.c{outer})")
            }
        }
    }

    /// `None`: unknown
    fn of(&self, row: &Row, tables: &Tables<'_>) -> Option<bool> {
        match self {
            Condition::Value(column, comparison, value) => compared(row[*column], *comparison, Some(*value)),
            Condition::Columns(left, comparison, right) => compared(row[*left], *comparison, row[*right]),
            Condition::IsNull(column) => Some(row[*column].is_none()),
            Condition::Not(inner) => inner.of(row, tables).map(|truth| !truth),
            Condition::And(left, right) => match (left.of(row, tables), right.of(row, tables)) {
                (Some(false), _) | (_, Some(false)) => Some(false),
                (Some(true), Some(true)) => Some(true),
                _ => None,
            },
            Condition::Or(left, right) => match (left.of(row, tables), right.of(row, tables)) {
                (Some(true), _) | (_, Some(true)) => Some(true),
                (Some(false), Some(false)) => Some(false),
                _ => None,
            },
            Condition::In { column, query, of, negated } => {
                let mut found = Some(false);
                for other in query.rows(tables) {
                    found = match (found, compared(row[*column], 0, other[*of])) {
                        (Some(true), _) | (_, Some(true)) => Some(true),
                        (None, _) | (_, None) => None,
                        _ => Some(false),
                    };
                }
                found.map(|found| found != *negated)
            }
            Condition::Exists { outer, query, inner } => {
                let rows = query.rows(tables);
                Some(rows.iter().any(|other| compared(other[*inner], 0, row[*outer]) == Some(true)))
            }
        }
    }
}

fn alias(next: &mut usize) -> String {
    *next += 1;
    format!("t{next}")
}

/// `table.c0 AS c0, table.c1 AS c1, ..`
fn columns(table: &str, count: usize) -> String {
    listed((0..count).map(|column| format!("{table}.c{column}")), 0)
}

fn listed(expressions: impl Iterator<Item = String>, first: usize) -> String {
    let named = expressions.enumerate().map(|(place, text)| format!("{text} AS c{}", first + place));
    named.collect::<Vec<_>>().join(", ")
}

/// ORDER BY a column and then all, NULL below all values.
fn order(table: &str, (first, descending): (usize, bool), width: usize) -> String {
    let direction = if descending { " DESC" } else { "" };
    let others = (0..width).filter(|column| *column != first).map(|column| format!(", {table}.c{column}"));
    format!("ORDER BY {table}.c{first}{direction}{}", others.collect::<String>())
}

fn sorted(mut rows: Vec<Row>, (first, descending): (usize, bool)) -> Vec<Row> {
    rows.sort_by(|one, other| {
        let leading = one[first].cmp(&other[first]);
        let leading = if descending { leading.reverse() } else { leading };
        leading.then_with(|| one.cmp(other))
    });
    rows
}

fn partition_by(table: &str, partition: &[usize]) -> String {
    let names: Vec<String> = partition.iter().map(|column| format!("{table}.c{column}")).collect();
    if names.is_empty() { String::new() } else { format!("PARTITION BY {} ", names.join(", ")) }
}

fn grouped(rows: Vec<Row>, keys: &[usize]) -> BTreeMap<Row, Vec<Row>> {
    let mut groups: BTreeMap<Row, Vec<Row>> = BTreeMap::new();
    for row in rows {
        groups.entry(keys.iter().map(|key| row[*key]).collect()).or_default().push(row);
    }
    groups
}

impl Query {
    pub(super) fn width(&self) -> usize {
        match self {
            Query::Table(_) => 3,
            Query::Where(input, _) | Query::Limit { input, .. } => input.width(),
            Query::Distinct(_, columns) => columns.len(),
            Query::Group { keys, calls, .. } => keys.len() + calls.len(),
            Query::Join { left, right, .. } => left.width() + right.width(),
            Query::Set { left, right, .. } => left.width().min(right.width()),
            Query::Top { input, numbered, .. } => input.width() + usize::from(*numbered),
            Query::Over { input, .. } | Query::Scalar { input, .. } => input.width() + 1,
        }
    }

    /// True if no two rows have the same value in the first column.
    pub(super) fn has_key(&self) -> bool {
        match self {
            Query::Table(_) => true,
            Query::Distinct(_, columns) => columns.len() == 1,
            Query::Group { keys, .. } => keys.len() == 1,
            Query::Where(input, _)
            | Query::Top { input, .. }
            | Query::Limit { input, .. }
            | Query::Over { input, .. }
            | Query::Scalar { input, .. } => input.has_key(),
            Query::Join { kind: Kind::Inner | Kind::Left, left, right, on, .. } => {
                left.has_key() && right.has_key() && on.iter().any(|(_, right)| *right == 0)
            }
            Query::Join { .. } | Query::Set { .. } => false,
        }
    }

    pub(super) fn sql(&self, next: &mut usize) -> String {
        match self {
            Query::Table(table) => format!("SELECT id AS c0, k AS c1, v AS c2 FROM base{table}"),
            Query::Where(input, condition) => {
                let (t, width) = (alias(next), input.width());
                let rows = input.sql(next);
                format!(
                    "SELECT {} FROM ({rows}) AS {t} WHERE {}",
                    columns(&t, width),
                    condition.sql(&t, next)
                )
            }
            Query::Distinct(input, wanted) => {
                let t = alias(next);
                let list = listed(wanted.iter().map(|column| format!("{t}.c{column}")), 0);
                format!("SELECT DISTINCT {list} FROM ({}) AS {t}", input.sql(next))
            }
            Query::Group { input, keys, calls, above } => {
                let t = alias(next);
                let names: Vec<String> = keys.iter().map(|key| format!("{t}.c{key}")).collect();
                let all = names.iter().cloned().chain(calls.iter().map(|call| call.sql(&t)));
                let having = above.map_or_else(String::new, |rows| format!(" HAVING COUNT(*) > {rows}"));
                let (list, rows) = (listed(all, 0), input.sql(next));
                format!("SELECT {list} FROM ({rows}) AS {t} GROUP BY {}{having}", names.join(", "))
            }
            Query::Join { kind, left, right, on, less } => {
                let (l, r) = (alias(next), alias(next));
                let list = [columns(&l, left.width()), {
                    listed((0..right.width()).map(|column| format!("{r}.c{column}")), left.width())
                }];
                let equal = on.iter().map(|(left, right)| format!("{l}.c{left} = {r}.c{right}"));
                let less = less.iter().map(|(left, right)| format!("{l}.c{left} < {r}.c{right}"));
                let condition = equal.chain(less).collect::<Vec<_>>().join(" AND ");
                let kind = format!("{kind:?}").to_uppercase();
                let (left, right) = (left.sql(next), right.sql(next));
                format!(
                    "SELECT {} FROM ({left}) AS {l} {kind} JOIN ({right}) AS {r} ON {condition}",
                    list.join(", ")
                )
            }
            Query::Set { operation, all, left, right } => {
                let (l, r, width) = (alias(next), alias(next), self.width());
                let word = format!("{operation:?}").to_uppercase();
                let all = if *all { " ALL" } else { "" };
                let (left, right) = (left.sql(next), right.sql(next));
                let (of_left, of_right) = (columns(&l, width), columns(&r, width));
                format!(
                    "SELECT {of_left} FROM ({left}) AS {l} {word}{all} SELECT {of_right} FROM ({right}) AS {r}"
                )
            }
            Query::Top { input, partition, first, from, to, numbered } => {
                let (t, u, width) = (alias(next), alias(next), input.width());
                let window = format!("{}{}", partition_by(&t, partition), order(&t, *first, width));
                let rows = input.sql(next);
                let bounds = match from {
                    1 => format!("n <= {to}"),
                    _ => format!("n BETWEEN {from} AND {to}"),
                };
                let number = if *numbered { format!(", {u}.n AS c{width}") } else { String::new() };
                format!(
                    "SELECT {}{number} FROM (SELECT {}, ROW_NUMBER() OVER ({window}) AS n FROM ({rows}) AS {t}) AS {u} \
                     WHERE {bounds}",
                    columns(&u, width),
                    columns(&t, width)
                )
            }
            Query::Limit { input, first, skip, rows } => {
                let (t, width) = (alias(next), input.width());
                let offset = if *skip > 0 { format!(" OFFSET {skip}") } else { String::new() };
                let (list, order) = (columns(&t, width), order(&t, *first, width));
                format!("SELECT {list} FROM ({}) AS {t} {order} LIMIT {rows}{offset}", input.sql(next))
            }
            Query::Over { input, partition, first, call } => {
                let (t, width) = (alias(next), input.width());
                let window = format!("{}{}", partition_by(&t, partition), order(&t, *first, width));
                let (list, call) = (columns(&t, width), call.sql(&t));
                format!("SELECT {list}, {call} OVER ({window}) AS c{width} FROM ({}) AS {t}", input.sql(next))
            }
            Query::Scalar { input, query, outer, inner, call } => {
                let (t, u, width) = (alias(next), alias(next), input.width());
                let (list, call) = (columns(&t, width), call.sql(&u));
                let (query, input) = (query.sql(next), input.sql(next));
                format!(
                    "SELECT {list}, (SELECT {call} FROM ({query}) AS {u} WHERE {u}.c{inner} = {t}.c{outer}) AS c{width} \
                     FROM ({input}) AS {t}"
                )
            }
        }
    }

    pub(super) fn rows(&self, tables: &Tables<'_>) -> Vec<Row> {
        match self {
            Query::Table(table) => tables.0[*table].clone(),
            Query::Where(input, condition) => {
                let mut rows = input.rows(tables);
                rows.retain(|row| condition.of(row, tables) == Some(true));
                rows
            }
            Query::Distinct(input, columns) => grouped(input.rows(tables), columns).into_keys().collect(),
            Query::Group { input, keys, calls, above } => {
                let groups = grouped(input.rows(tables), keys).into_iter();
                let groups = groups.filter(|(_, rows)| above.is_none_or(|above| rows.len() as i64 > above));
                let row = |(mut key, rows): (Row, Vec<Row>)| {
                    key.extend(calls.iter().map(|call| call.of(rows.iter())));
                    key
                };
                groups.map(row).collect()
            }
            Query::Join { kind, left, right, on, less } => joined(
                *kind,
                left.rows(tables),
                right.rows(tables),
                (left.width(), right.width()),
                (on, *less),
            ),
            Query::Set { operation, all, left, right } => {
                let columns: Vec<usize> = (0..self.width()).collect();
                let count = |query: &Query| -> BTreeMap<Row, i64> {
                    let groups = grouped(query.rows(tables), &columns);
                    groups.into_iter().map(|(row, rows)| (row, rows.len() as i64)).collect()
                };
                let (left, right) = (count(left), count(right));
                let all_rows: BTreeSet<&Row> = left.keys().chain(right.keys()).collect();
                let times = |row: &Row| {
                    let (l, r) = (left.get(row).copied().unwrap_or(0), right.get(row).copied().unwrap_or(0));
                    let (l, r) = if *all { (l, r) } else { (l.min(1), r.min(1)) };
                    let times = match operation {
                        SetOperation::Union => l + r,
                        SetOperation::Intersect => l.min(r),
                        SetOperation::Except => l - r,
                    };
                    usize::try_from(if *all { times } else { times.min(1) }).unwrap_or(0)
                };
                all_rows.into_iter().flat_map(|row| std::iter::repeat_n(row.clone(), times(row))).collect()
            }
            Query::Top { input, partition, first, from, to, numbered } => {
                let groups = grouped(input.rows(tables), partition).into_values();
                let numbered_rows = |rows: Vec<Row>| {
                    let ranked = sorted(rows, *first).into_iter().zip(1..);
                    let kept = ranked.filter(|(_, number)| (*from..=*to).contains(number));
                    let row = |(mut row, number): (Row, usize)| {
                        row.extend(numbered.then_some(Some(number as i64)));
                        row
                    };
                    kept.map(row).collect::<Vec<_>>()
                };
                groups.flat_map(numbered_rows).collect()
            }
            Query::Limit { input, first, skip, rows } => {
                sorted(input.rows(tables), *first).into_iter().skip(*skip).take(*rows).collect()
            }
            Query::Over { input, partition, first, call } => {
                let mut found = Vec::new();
                for rows in grouped(input.rows(tables), partition).into_values() {
                    let rows = sorted(rows, *first);
                    for row in &rows {
                        // Rows that are alike are counted together.
                        let end = rows.iter().rposition(|other| other == row).map_or(0, |place| place + 1);
                        let mut row = row.clone();
                        row.push(call.of(rows[..end].iter()));
                        found.push(row);
                    }
                }
                found
            }
            Query::Scalar { input, query, outer, inner, call } => {
                let others = query.rows(tables);
                let with = |mut row: Row| {
                    let of_row =
                        others.iter().filter(|other| compared(other[*inner], 0, row[*outer]) == Some(true));
                    let value = call.of(of_row);
                    row.push(value);
                    row
                };
                input.rows(tables).into_iter().map(with).collect()
            }
        }
    }
}

fn joined(
    kind: Kind,
    left: Vec<Row>,
    right: Vec<Row>,
    widths: (usize, usize),
    (on, less): (&[Pair], Option<Pair>),
) -> Vec<Row> {
    let mut found = Vec::new();
    let mut met = vec![false; right.len()];
    for row in &left {
        let mut alone = true;
        for (place, other) in right.iter().enumerate() {
            let equal = on.iter().all(|(l, r)| compared(row[*l], 0, other[*r]) == Some(true));
            let less = less.is_none_or(|(l, r)| compared(row[l], 2, other[r]) == Some(true));
            if equal && less {
                found.push([&row[..], &other[..]].concat());
                (alone, met[place]) = (false, true);
            }
        }
        if alone && matches!(kind, Kind::Left | Kind::Full) {
            found.push([&row[..], &vec![None; widths.1]].concat());
        }
    }
    if matches!(kind, Kind::Right | Kind::Full) {
        let alone = right.iter().zip(met).filter(|(_, met)| !met);
        found.extend(alone.map(|(other, _)| [&vec![None; widths.0][..], &other[..]].concat()));
    }
    found
}
