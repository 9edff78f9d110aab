use crate::event_script::{Harness, batch, run_script, schema};
use crate::{Operator, OperatorError, OutputElement, create_operator};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion_expr::Operator::{Divide, Gt, Minus, Or};
use datafusion_physical_expr::PhysicalExpr;
use datafusion_physical_expr::expressions::{BinaryExpr, CastExpr, Column, IsNullExpr, lit};
use std::sync::Arc;
use weir_types::{
    CalcSpec, ChangelogMode, Exchange, ExpandSpec, Input, JobSettings, LimitSpec, NodeIndex, OperatorId,
    OperatorNode, OperatorSpec, Parallelism, RowKind, SqlType, WatermarkSpec, WindowSpec,
    WindowTableFunctionSpec, WindowTime,
};

type Expression = Arc<dyn PhysicalExpr>;

fn try_create(
    input: &SchemaRef,
    spec: OperatorSpec,
    schema: SchemaRef,
) -> Result<Box<dyn Operator>, OperatorError> {
    let node = OperatorNode {
        id: OperatorId::new("op"),
        label: "Op(x)".to_string(),
        spec,
        inputs: vec![Input { node: NodeIndex(0), exchange: Exchange::Forward }],
        schema,
        changelog: ChangelogMode::ALL,
        parallelism: Parallelism::Default,
        state: None,
    };
    create_operator(&node, std::slice::from_ref(input), &JobSettings::default())
}

fn create(input: &SchemaRef, spec: OperatorSpec, schema: SchemaRef) -> Box<dyn Operator> {
    try_create(input, spec, schema).unwrap()
}

fn column(input: &SchemaRef, index: usize) -> Expression {
    Arc::new(Column::new(input.field(index).name(), index))
}

fn binary(left: Expression, operator: datafusion_expr::Operator, right: Expression) -> Expression {
    Arc::new(BinaryExpr::new(left, operator, right))
}

fn with_field(input: &SchemaRef, fields: Vec<Field>) -> SchemaRef {
    let all = input.fields().iter().cloned().chain(fields.into_iter().map(Arc::new));
    Arc::new(Schema::new(all.collect::<Vec<_>>()))
}

/// `SELECT k, 10 / v WHERE v > 0`: rows with `v = 0` are not divided.
#[test]
fn filters_come_before_projections() {
    run_script("calc", |input| {
        let output = schema("k STRING, q INT");
        let spec = CalcSpec {
            filter: Some(binary(column(input, 2), Gt, lit(0_i32))),
            projection: Some(vec![column(input, 1), binary(lit(10_i32), Divide, column(input, 2))]),
            reads_watermark: false,
        };
        create(input, OperatorSpec::Calc(spec), output)
    });
}

#[test]
fn what_passes_whole_is_not_copied() {
    let input = schema("v INT, k STRING");
    let filter = Some(binary(column(&input, 0), Gt, lit(0_i32)));
    let make = |projection: Option<Vec<Expression>>| {
        let spec =
            OperatorSpec::Calc(CalcSpec { filter: filter.clone(), projection, reads_watermark: false });
        let (input, output) = (input.clone(), input.clone());
        Harness::new(8192, move || create(&input, spec.clone(), output.clone()))
    };
    let rows = batch(&input, &[(RowKind::Insert, vec!["1", "a"]), (RowKind::Delete, vec!["2", "b"])]);
    for projection in [None, Some(vec![column(&input, 0), column(&input, 1)])] {
        let mut harness = make(projection);
        harness.batch(rows.clone());
        let [OutputElement::Batch(out)] = &harness.output[..] else { panic!("one batch") };
        for index in 0..2 {
            let (before, after) = (rows.rows().column(index).to_data(), out.rows().column(index).to_data());
            assert_eq!(before.buffers()[0].as_ptr(), after.buffers()[0].as_ptr());
        }
        assert_eq!(harness.lines(), ["+I 1 a", "-D 2 b"]);
    }
}

#[test]
fn a_failing_expression_is_the_data_s_fault() {
    let input = schema("v INT");
    let projection = Some(vec![binary(lit(1_i32), Divide, column(&input, 0))]);
    let spec = CalcSpec { filter: None, projection, reads_watermark: false };
    let mut operator = create(&input, OperatorSpec::Calc(spec), schema("q INT"));
    let for_context = input.clone();
    let pass = CalcSpec { filter: None, projection: None, reads_watermark: false };
    let mut harness =
        Harness::new(1, move || create(&for_context, OperatorSpec::Calc(pass.clone()), for_context.clone()));
    let rows = batch(&input, &[(RowKind::Insert, vec!["0"])]);
    let error = operator.on_batch(0, rows, &mut harness.context, &mut Default::default()).unwrap_err();
    assert!(
        matches!(&error, OperatorError::Evaluation(message) if message.contains("ivide by zero")),
        "{error}"
    );
}

/// `SELECT n, wm WHERE wm IS NULL OR n > wm`: rows behind the watermark are dropped, whatever it was before a restart.
#[test]
fn expressions_may_read_the_watermark() {
    run_script("calc_watermark", |input| {
        let watermark = || -> Expression { Arc::new(Column::new("$watermark", 1)) };
        let number: Expression = Arc::new(CastExpr::new(watermark(), DataType::Int64, None));
        let unknown: Expression = Arc::new(IsNullExpr::new(watermark()));
        let ahead = binary(column(input, 0), Gt, number);
        let spec = CalcSpec {
            filter: Some(binary(unknown, Or, ahead)),
            projection: Some(vec![column(input, 0), watermark()]),
            reads_watermark: true,
        };
        create(input, OperatorSpec::Calc(spec), schema("n BIGINT, wm TIMESTAMP(3)"))
    });
}

fn watermark(
    per_row: bool,
    idle_timeout_ms: Option<i64>,
) -> impl Fn(&SchemaRef) -> Box<dyn Operator> + Clone {
    move |input| {
        let millis = DataType::Timestamp(arrow::datatypes::TimeUnit::Millisecond, None);
        let number: Expression = Arc::new(CastExpr::new(column(input, 0), DataType::Int64, None));
        let delayed = binary(number, Minus, lit(4_000_i64));
        let expression: Expression = Arc::new(CastExpr::new(delayed, millis, None));
        let spec = WatermarkSpec { rowtime: 0, expression, idle_timeout_ms, per_row, interval_ms: 200 };
        create(input, OperatorSpec::Watermark(spec), input.clone())
    }
}

/// The rows of Flink's late.out; the watermarks are those that CURRENT_WATERMARK shows there.
#[test]
fn watermarks_rise_by_more_than_the_interval() {
    run_script("watermark_interval", watermark(false, None));
    run_script("watermark_per_row", watermark(true, None));
}

#[test]
fn watermarks_at_ticks_and_idleness() {
    run_script("watermark_ticks", watermark(false, Some(1_000)));
}

#[test]
fn a_rowtime_is_never_null() {
    let input = schema("ts TIMESTAMP(3), n INT");
    let make = watermark(false, None);
    let (for_harness, rows) = (input.clone(), batch(&input, &[(RowKind::Insert, vec!["NULL", "1"])]));
    let mut harness = Harness::new(1, move || make(&for_harness));
    let mut operator = watermark(false, None)(&input);
    let error = operator.on_batch(0, rows, &mut harness.context, &mut Default::default()).unwrap_err();
    assert!(error.to_string().contains("rowtime column `ts` is NULL"), "{error}");
}

#[test]
fn rows_once_per_window() {
    for (name, window) in [
        ("tvf_tumble", WindowSpec::Tumble { size_ms: 10_000, offset_ms: 0 }),
        ("tvf_hop", WindowSpec::Hop { size_ms: 10_000, slide_ms: 5_000, offset_ms: 0 }),
        ("tvf_cumulate", WindowSpec::Cumulate { max_size_ms: 10_000, step_ms: 5_000, offset_ms: 0 }),
    ] {
        run_script(name, move |input| {
            let fields = ["ws", "we", "wt"].map(|name| SqlType::Timestamp(3).to_field(name, false));
            let spec = WindowTableFunctionSpec {
                window,
                time: WindowTime::RowTime(0),
                time_zone: None,
                partition: Vec::new(),
            };
            create(input, OperatorSpec::WindowTableFunction(spec), with_field(input, fields.to_vec()))
        });
    }
}

#[test]
fn grouping_sets_interleave_their_copies() {
    run_script("expand", |input| {
        let null: Expression = lit(datafusion_common::ScalarValue::Utf8(None));
        let spec = ExpandSpec {
            projections: vec![
                vec![column(input, 0), column(input, 1), lit(0_i64)],
                vec![null, column(input, 1), lit(1_i64)],
            ],
        };
        let output = with_field(input, vec![SqlType::BigInt.to_field("e", false)]);
        create(input, OperatorSpec::Expand(spec), output)
    });
}

#[test]
fn the_first_rows_in_order_of_arrival() {
    run_script("limit", |input| {
        create(input, OperatorSpec::Limit(LimitSpec { offset: 2, fetch: Some(3) }), input.clone())
    });
    let input = schema("v INT");
    let for_harness = input.clone();
    let spec = OperatorSpec::Limit(LimitSpec { offset: 0, fetch: Some(1) });
    let mut harness = Harness::new(8192, move || create(&for_harness, spec.clone(), for_harness.clone()));
    assert!(!harness.is_satisfied());
    harness.batch(batch(&input, &[(RowKind::Insert, vec!["1"]), (RowKind::Insert, vec!["2"])]));
    assert!(harness.is_satisfied());
    harness.recover();
    assert!(harness.is_satisfied());
}

#[test]
fn inline_rows_come_when_the_absent_input_ends() {
    let input = schema("v INT");
    let rows = |texts: &[&str]| {
        let rows: Vec<_> = texts.iter().map(|text| (RowKind::Insert, vec![*text])).collect();
        batch(&input, &rows).rows().clone()
    };
    let spec = OperatorSpec::Values(vec![rows(&["1", "2"]), rows(&["3"])]);
    let for_harness = input.clone();
    let mut harness = Harness::new(8192, move || create(&for_harness, spec.clone(), for_harness.clone()));
    harness.end();
    assert_eq!(harness.lines(), ["+I 1", "+I 2", "+I 3"]);
    harness.recover();
    harness.end();
    assert!(harness.lines().is_empty());
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let input = schema("ts TIMESTAMP(3), n INT");
    let spec = WindowTableFunctionSpec {
        window: WindowSpec::Session { gap_ms: 1_000 },
        time: WindowTime::RowTime(0),
        time_zone: None,
        partition: Vec::new(),
    };
    let created = try_create(&input, OperatorSpec::WindowTableFunction(spec), input.clone());
    let Err(OperatorError::Unsupported(message)) = created else { panic!("refused") };
    assert!(message.starts_with("SESSION"), "{message}");
}
