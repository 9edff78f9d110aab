//! What DataFusion's SQL planner asks: tables, views, functions, special syntax.

use crate::PlanError;
use crate::catalog::{CatalogEntry, CatalogView, Session};
use crate::expressions::{FlinkExprPlanner, FlinkTypePlanner, FlinkValuesPlanner};
use crate::query::aggregates::{self, AggregatePlanner};
use crate::query::as_of::SnapshotPlanner;
use crate::query::bind::raw_plan;
use crate::query::checkpoint_table::CheckpointPlanner;
use crate::query::error::external;
use crate::query::match_recognize::MatchPlanner;
use crate::query::ranks::window_function;
use crate::query::stars::StarPlanner;
use crate::query::state_ttl::StateTtlPlanner;
use crate::query::table_source::{TableScanSource, ViewSource};
use crate::query::unnest::UnnestPlanner;
use crate::query::window_planner::WindowPlanner;
use crate::query::{expand, group_window};
use arrow::datatypes::DataType;
use datafusion_common::config::ConfigOptions;
use datafusion_common::{Result, TableReference};
use datafusion_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion_expr::{
    AggregateUDF, Expr, HigherOrderUDF, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF,
};
use sqlparser::ast::{Ident, ObjectName};
use std::collections::BTreeMap;
use std::sync::Arc;
use weir_functions::FunctionRegistry;

/// Views may stand upon views, to this depth: one that leads back to itself never ends.
const MAX_VIEW_DEPTH: usize = 64;

/// The functions that queries may call.
#[derive(Debug, Clone)]
pub(super) struct Functions {
    pub scalar: FunctionRegistry,
    markers: Arc<BTreeMap<String, Arc<ScalarUDF>>>,
    aggregates: Arc<BTreeMap<String, Arc<AggregateUDF>>>,
}

impl Functions {
    pub fn new(scalar: FunctionRegistry) -> Self {
        let mut aggregates = aggregates::registry();
        aggregates.extend(group_window::part_markers());
        aggregates.extend(expand::grouping_markers());
        let markers = group_window::window_markers().collect();
        Functions { scalar, markers: Arc::new(markers), aggregates: Arc::new(aggregates) }
    }

    /// Names as users write them, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names = self.scalar.names();
        let aggregates = self.aggregates.iter().filter(|(name, _)| !name.starts_with('$'));
        names.extend(aggregates.map(|(_, udf)| udf.name().to_string()));
        names.extend(["TUMBLE", "HOP", "CUMULATE", "SESSION", "ROW_NUMBER"].map(String::from));
        names.sort();
        names.dedup();
        names
    }
}

/// The planner's view of one session.
pub(super) struct PlanningContext<'a> {
    session: &'a Session,
    functions: Functions,
    expr_planners: Vec<Arc<dyn ExprPlanner>>,
    relation_planners: Vec<Arc<dyn RelationPlanner>>,
    options: ConfigOptions,
    view_depth: usize,
}

impl<'a> PlanningContext<'a> {
    pub fn new(session: &'a Session, functions: &Functions, view_depth: usize) -> Self {
        PlanningContext {
            session,
            functions: functions.clone(),
            expr_planners: vec![
                Arc::new(AggregatePlanner),
                Arc::new(FlinkExprPlanner::new(functions.scalar.clone())),
            ],
            relation_planners: vec![
                Arc::new(WindowPlanner { in_view: view_depth > 0 }),
                Arc::new(MatchPlanner { registry: functions.scalar.clone(), in_view: view_depth > 0 }),
                Arc::new(StateTtlPlanner),
                Arc::new(StarPlanner),
                Arc::new(SnapshotPlanner { in_view: view_depth > 0 }),
                Arc::new(UnnestPlanner::new(functions.scalar.clone(), view_depth > 0)),
                Arc::new(FlinkValuesPlanner::new(functions.scalar.clone())),
                Arc::new(CheckpointPlanner {
                    connectors: session.connectors.clone(),
                    in_view: view_depth > 0,
                }),
            ],
            options: ConfigOptions::default(),
            view_depth,
        }
    }

    /// The query of a view with the view's names for its columns.
    fn view(&self, view: &CatalogView) -> Result<ViewSource> {
        if self.view_depth >= MAX_VIEW_DEPTH {
            let message = format!("view '{}' leads back to itself", view.path.short());
            return Err(external(PlanError::invalid(message)));
        }
        let in_view = |error: PlanError| {
            external(error.without_position().context(format!("view '{}'", view.path.short())))
        };
        let session = self.session.at(&view.home);
        let plan = raw_plan(&session, &self.functions, &view.query, self.view_depth + 1).map_err(in_view)?;
        let names = view.schema.fields().iter().map(|field| field.name());
        if plan.schema().fields().len() != view.schema.fields().len() {
            let message = format!(
                "view '{}' no longer fits the tables that it reads: create it again",
                view.path.short()
            );
            return Err(external(PlanError::invalid(message)));
        }
        let same = plan.schema().fields().iter().map(|field| field.name()).eq(names.clone());
        if same {
            return Ok(ViewSource::new(plan));
        }
        let columns = plan.schema().columns().into_iter().zip(names);
        let columns: Vec<Expr> = columns.map(|(column, name)| Expr::Column(column).alias(name)).collect();
        Ok(ViewSource::new(LogicalPlanBuilder::from(plan).project(columns)?.build()?))
    }
}

impl ContextProvider for PlanningContext<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let parts = name.to_vec().into_iter().map(|part| Ident::with_quote('`', part)).collect::<Vec<_>>();
        match self.session.resolve(&ObjectName::from(parts)).map_err(external)? {
            CatalogEntry::Table(table) => {
                if table.capabilities.scan.is_none() {
                    let message =
                        format!("table '{}' cannot be read: its connector is a sink", table.descriptor.name);
                    return Err(external(PlanError::invalid(message)));
                }
                Ok(Arc::new(TableScanSource::new(table)))
            }
            CatalogEntry::View(view) => Ok(Arc::new(self.view(&view)?)),
        }
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        &self.expr_planners
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        &self.relation_planners
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(FlinkTypePlanner))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        let marker = self.functions.markers.get(&name.to_lowercase()).cloned();
        marker.or_else(|| self.functions.scalar.get(name))
    }

    fn get_higher_order_meta(&self, _name: &str) -> Option<Arc<HigherOrderUDF>> {
        None
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.functions.aggregates.get(&name.to_lowercase()).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        window_function(name)
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        &self.options
    }

    fn udf_names(&self) -> Vec<String> {
        self.functions.scalar.names()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        vec![]
    }

    fn udaf_names(&self) -> Vec<String> {
        self.functions.aggregates.keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        vec![]
    }
}
