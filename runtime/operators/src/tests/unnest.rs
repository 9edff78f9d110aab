//! UNNEST of lists, maps, multisets and lists of rows, with NULLs at every level.

use crate::event_script::Harness;
use crate::{OutputElement, create_operator};
use arrow::array::{
    ArrayRef, Int32Array, Int32Builder, ListArray, MapBuilder, RecordBatch, StringArray, StringBuilder,
    StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef};
use datafusion_physical_expr::expressions::Column;
use std::sync::Arc;
use weir_types::{
    ChangelogBatch, ChangelogMode, Exchange, Input, JobSettings, NodeIndex, OperatorId, OperatorNode,
    OperatorSpec, Parallelism, RowKind, SqlField, SqlType, UnnestSpec,
};

fn ints() -> ListArray {
    ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(10), Some(20)]),
        None,
        Some(vec![]),
        Some(vec![Some(30), None]),
    ])
}

fn counts() -> ArrayRef {
    let mut maps = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in [Some(vec![("a", 1), ("b", 2)]), None, Some(vec![]), Some(vec![("c", 3)])] {
        for (key, value) in row.iter().flatten() {
            maps.keys().append_value(key);
            maps.values().append_value(*value);
        }
        maps.append(row.is_some()).unwrap();
    }
    Arc::new(maps.finish())
}

/// `[(1, a), NULL], NULL (over an element), [], [(3, c)]`
fn rows() -> (ArrayRef, SqlType) {
    let members =
        SqlType::Row(vec![SqlField::new("x", SqlType::Int, true), SqlField::new("y", SqlType::STRING, true)]);
    let DataType::Struct(fields) = members.data_type() else { unreachable!() };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from(vec![1, 8, 9, 3])),
        Arc::new(StringArray::from(vec!["a", "hidden", "hidden too", "c"])),
    ];
    let structs = StructArray::new(fields, columns, Some(NullBuffer::from(vec![true, false, true, true])));
    let list = SqlType::Array(Box::new(SqlField::new("item", members, true)));
    let DataType::List(item) = list.data_type() else { unreachable!() };
    let offsets = OffsetBuffer::new(vec![0, 2, 3, 3, 4].into());
    let nulls = NullBuffer::from(vec![true, false, true, true]);
    (Arc::new(ListArray::new(item, offsets, Arc::new(structs), Some(nulls))), list)
}

/// `id` and the elements of `collection` for rows 1 to 4, of which the last is `-D`.
fn unnest(
    collection: ArrayRef,
    collection_type: SqlType,
    elements: &[SqlType],
    (ordinality, outer): (bool, bool),
) -> Vec<String> {
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![1, 2, 3, 4]));
    let input: SchemaRef = Arc::new(Schema::new(vec![
        collection_type.to_field("items", true),
        Field::new("id", DataType::Int32, false),
    ]));
    let element = |sql_type: &SqlType| sql_type.to_field("e", true);
    let ordinal = ordinality.then(|| Field::new("ordinal", DataType::Int32, outer));
    let id = Field::new("id", DataType::Int32, false);
    let fields: Vec<Field> = std::iter::once(id).chain(elements.iter().map(element)).chain(ordinal).collect();
    let node = OperatorNode {
        id: OperatorId::new("op"),
        label: "Unnest".to_string(),
        spec: OperatorSpec::Unnest(UnnestSpec {
            collection: Arc::new(Column::new("items", 0)),
            collection_type,
            columns: vec![1],
            ordinality,
            outer,
            condition: None,
        }),
        inputs: vec![Input { node: NodeIndex(0), exchange: Exchange::Forward }],
        schema: Arc::new(Schema::new(fields)),
        changelog: ChangelogMode::ALL,
        parallelism: Parallelism::Default,
        state: None,
    };
    let kinds = vec![RowKind::Insert, RowKind::UpdateBefore, RowKind::UpdateAfter, RowKind::Delete];
    let rows = RecordBatch::try_new(input.clone(), vec![collection, ids]).unwrap();
    let batch = ChangelogBatch::new(rows, Some(kinds.into()));
    let mut expected: Option<Vec<String>> = None;
    for batch_rows in [8192, 1, 2, 3] {
        let (node, input) = (node.clone(), input.clone());
        let make =
            move || create_operator(&node, std::slice::from_ref(&input), &JobSettings::default()).unwrap();
        let mut harness = Harness::new(batch_rows, make);
        harness.batch(batch.clone());
        let in_bounds = |element: &OutputElement| match element {
            OutputElement::Batch(batch) => batch.num_rows() <= batch_rows,
            _ => false,
        };
        assert!(harness.output.iter().all(in_bounds));
        let lines = harness.lines();
        assert_eq!(expected.get_or_insert(lines.clone()), &lines, "batches of {batch_rows}");
    }
    expected.unwrap_or_default()
}

fn list_of_int() -> SqlType {
    SqlType::Array(Box::new(SqlField::new("item", SqlType::Int, true)))
}

#[test]
fn elements_stand_beside_their_rows() {
    let inner = unnest(Arc::new(ints()), list_of_int(), &[SqlType::Int], (false, false));
    assert_eq!(inner, ["+I 1 10", "+I 1 20", "-D 4 30", "-D 4 NULL"]);
    let outer = unnest(Arc::new(ints()), list_of_int(), &[SqlType::Int], (true, true));
    assert_eq!(
        outer,
        ["+I 1 10 1", "+I 1 20 2", "-U 2 NULL NULL", "+U 3 NULL NULL", "-D 4 30 1", "-D 4 NULL 2"]
    );
}

#[test]
fn maps_give_keys_and_values() {
    let field = |name, sql_type, nullable| Box::new(SqlField::new(name, sql_type, nullable));
    let map = SqlType::Map(field("key", SqlType::STRING, false), field("value", SqlType::Int, true));
    let maps = arrow::compute::cast(&counts(), &map.data_type()).unwrap();
    let lines = unnest(maps, map, &[SqlType::STRING, SqlType::Int], (true, false));
    assert_eq!(lines, ["+I 1 a 1 1", "+I 1 b 2 2", "-D 4 c 3 1"]);
}

#[test]
fn multisets_give_each_value_as_often_as_it_counts() {
    let multiset = SqlType::Multiset(Box::new(SqlField::new("key", SqlType::STRING, false)));
    let counts = arrow::compute::cast(&counts(), &multiset.data_type()).unwrap();
    let lines = unnest(counts, multiset, &[SqlType::STRING], (true, false));
    assert_eq!(lines, ["+I 1 a 1", "+I 1 b 2", "+I 1 b 3", "-D 4 c 1", "-D 4 c 2", "-D 4 c 3"]);
}

#[test]
fn rows_are_spread_and_null_rows_give_nothing() {
    let (lists, sql_type) = rows();
    let members = [SqlType::Int, SqlType::STRING];
    let inner = unnest(lists.clone(), sql_type.clone(), &members, (true, false));
    assert_eq!(inner, ["+I 1 1 a 1", "-D 4 3 c 1"]);
    let outer = unnest(lists, sql_type, &members, (false, true));
    assert_eq!(outer, ["+I 1 1 a", "-U 2 NULL NULL", "+U 3 NULL NULL", "-D 4 3 c"]);
}
