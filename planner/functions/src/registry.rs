//! The functions by name.

use super::context::FunctionContext;
use super::definition::Function;
use super::udf::FlinkFunction;
use super::{
    arithmetic, calls, casts, collections, compare, conditional, hashes, json, math, patterns, strings,
    temporal,
};
use datafusion_common::{Result, plan_datafusion_err};
use datafusion_expr::expr::ScalarFunction;
use datafusion_expr::{Expr, ScalarUDF};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All scalar functions of a session, for `ContextProvider::get_function_meta`.
#[derive(Clone, Debug)]
pub struct FunctionRegistry {
    functions: Arc<BTreeMap<&'static str, Arc<ScalarUDF>>>,
}

/// Every scalar function.
pub fn functions() -> impl Iterator<Item = &'static Function> {
    let tables: [&'static [Function]; 16] = [
        arithmetic::FUNCTIONS,
        compare::FUNCTIONS,
        conditional::FUNCTIONS,
        casts::FUNCTIONS,
        math::FUNCTIONS,
        strings::FUNCTIONS,
        strings::SPLIT_FUNCTIONS,
        strings::CODE_FUNCTIONS,
        patterns::FUNCTIONS,
        temporal::FUNCTIONS,
        temporal::FORMAT_FUNCTIONS,
        collections::FUNCTIONS,
        collections::SET_FUNCTIONS,
        calls::FUNCTIONS,
        json::FUNCTIONS,
        hashes::FUNCTIONS,
    ];
    tables.into_iter().flatten()
}

impl FunctionRegistry {
    pub fn new(context: FunctionContext) -> Self {
        let unbound = |function| Arc::new(FlinkFunction::unbound(function, context.clone()));
        let functions = functions().map(|function| (function.name, unbound(function))).collect();
        FunctionRegistry { functions: Arc::new(functions) }
    }

    /// The function of that name, in any case.
    pub fn get(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.functions.get(name.to_ascii_uppercase().as_str()).cloned()
    }

    /// Names as users write them, sorted; without those that only the planner calls.
    pub fn names(&self) -> Vec<String> {
        self.functions.keys().filter(|name| !name.starts_with('$')).map(|name| name.to_string()).collect()
    }
}

impl FunctionRegistry {
    /// An unbound call.
    pub fn call(&self, name: &str, arguments: Vec<Expr>) -> Result<Expr> {
        let function = self.get(name).ok_or_else(|| plan_datafusion_err!("unknown function '{name}'"))?;
        Ok(Expr::ScalarFunction(ScalarFunction::new_udf(function, arguments)))
    }
}
