//! Optimised plans to operators with exchanges between them.

mod aggregate;
mod builder;
mod calc;
mod fuse;
mod join;
mod lookup;
mod match_recognize;
mod normalize;
mod over;
mod over_calls;
mod over_state;
mod rank;
mod relations;
mod scan;
mod sink;
mod split;
mod state;
mod timed_join;
mod two_phase;
mod unnest;
mod window;

use crate::PlanError;
use crate::binder::{JobRoot, PlannedJob};
use crate::catalog::Session;
use crate::query::changelog::infer_changelog;
use crate::query::context::Functions;
use crate::query::error::plan_error;
use crate::query::identity::name_operators;
use crate::query::materialize::{Materialize, Materializing};
use crate::query::optimize::optimize;
use builder::JobBuilder;
use datafusion_common::config::ConfigOptions;
use datafusion_expr::LogicalPlan;
use datafusion_expr::execution_props::ExecutionProps;
use normalize::push_conditions;
use scan::{SharedScan, shared_scans, uses_event_time};
use std::sync::Arc;
use two_phase::check_mini_batch;
use weir_types::JobGraph;

pub(in crate::query) use builder::Facts;
pub(in crate::query) use join::join_key;
pub(in crate::query) use lookup::lookup_key;
pub(in crate::query) use over::window_position;
pub(in crate::query) use rank::time_order;
pub(in crate::query) use sink::{plain_name, root_plan};

/// A job, and what EXPLAIN says beside it.
pub(in crate::query) struct Lowered {
    pub job: PlannedJob,
    pub facts: Vec<Facts>,
    /// the plan of each root before and after optimisation
    pub plans: Vec<(LogicalPlan, LogicalPlan)>,
}

/// What lowering needs at hand.
pub(in crate::query) struct Lowering<'a> {
    session: &'a Session,
    functions: &'a Functions,
    properties: ExecutionProps,
    builder: JobBuilder,
    scans: Vec<SharedScan>,
    /// False if nothing in the job waits for event time: then there are no watermarks either.
    event_time: bool,
    /// what the user is to know beside what grows
    warnings: Vec<String>,
}

/// The job of one statement.
pub(in crate::query) fn lower(
    session: &Session,
    functions: &Functions,
    roots: &[JobRoot],
    name: String,
    sql: &str,
) -> Result<Lowered, PlanError> {
    check_mini_batch(session)?;
    let mut plans = vec![];
    for root in roots {
        let plan = root_plan(session, functions, root)?;
        let optimized = optimize(plan.clone()).map_err(plan_error)?;
        plans.push((plan, optimized));
    }
    let optimized: Vec<&LogicalPlan> = plans.iter().map(|(_, optimized)| optimized).collect();
    let mut properties = ExecutionProps::new();
    properties.config_options = Some(Arc::new(ConfigOptions::default()));
    let mut event_time = false;
    for plan in &optimized {
        event_time |= uses_event_time(plan).map_err(plan_error)?;
    }
    event_time |= roots.iter().any(waits_for_conflicts);
    let scans = shared_scans(&optimized).map_err(plan_error)?;
    let builder = JobBuilder::default();
    let mut lowering =
        Lowering { session, functions, properties, builder, scans, event_time, warnings: vec![] };
    for (root, plan) in roots.iter().zip(&optimized) {
        let stream = lowering.plan(plan)?;
        lowering.root(root, plan, stream)?;
    }
    let mut warned = lowering.warnings;
    let JobBuilder { mut nodes, mut facts, .. } = lowering.builder;
    push_conditions(&mut nodes, &facts);
    let materializing = Materializing {
        when: Materialize::of(session.settings.get("table.exec.sink.upsert-materialize")),
        require_on_conflict: session.settings.get("table.exec.sink.require-on-conflict") == Some("true"),
    };
    infer_changelog(&mut nodes, &mut facts, materializing)?;
    name_operators(&mut nodes, &facts);
    let settings = session.settings.job_settings();
    let mut warnings = warnings(&nodes, &facts, settings.state_ttl_ms);
    warnings.append(&mut warned);
    let graph = JobGraph { name, nodes, settings, sql: sql.to_string() };
    Ok(Lowered { job: PlannedJob { graph, warnings }, facts, plans })
}

/// True if rows are held back until the watermark tells whether they are in conflict.
fn waits_for_conflicts(root: &JobRoot) -> bool {
    matches!(root, JobRoot::Sink { conflict: Some((action, _)), .. } if action.waits())
}

/// What keeps state for ever.
fn warnings(nodes: &[weir_types::OperatorNode], facts: &[Facts], ttl_ms: u64) -> Vec<String> {
    let unbounded = nodes.iter().zip(facts).filter(|(_, facts)| !facts.bounded && ttl_ms == 0);
    let clauses = unbounded.filter_map(|(node, _)| node.state.as_ref()?.unbounded_clause.as_ref());
    let warning = |clause: &String| {
        if clause.starts_with("PRIMARY KEY") {
            return format!(
                "the state of {clause} grows without a bound: set 'table.exec.state.ttl' to forget keys that were idle for \
                 so long"
            );
        }
        let instead = match clause {
            _ if clause.starts_with("JOIN") => "join within windows",
            _ if clause.starts_with("OVER") || clause.starts_with("DISTINCT .. OVER") => {
                "order by time within a frame such as RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW"
            }
            _ => "group by a window",
        };
        if clause.starts_with("MATCH_RECOGNIZE") {
            return format!(
                "the state of {clause} grows without a bound: say WITHIN which time a match ends, as in PATTERN (..) WITHIN \
                 INTERVAL '1' HOUR"
            );
        }
        format!(
            "the state of {clause} grows without a bound: {instead}, or set 'table.exec.state.ttl' to forget keys that \
             were idle for so long"
        )
    };
    let mut warnings: Vec<String> = clauses.map(warning).collect();
    warnings.dedup();
    warnings
}
