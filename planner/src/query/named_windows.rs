//! `OVER (w ROWS ..)` and `WINDOW v AS (w ROWS ..)`: windows that go on from another one, which are written out. `OVER w` is
//! checked: not every function takes a frame.

use crate::PlanError;
use crate::query::refuse::check_frame;
use crate::query::syntax::function_name;
use crate::walk::walk_mut;
use sqlparser::ast::{
    Expr, Ident, NamedWindowDefinition, NamedWindowExpr, Select, Spanned, VisitorMut, WindowSpec, WindowType,
};
use std::ops::ControlFlow;

/// Windows of a SELECT that are defined so far.
struct Windows(Vec<(Ident, WindowSpec)>);

/// Gives each window of `select` that begins with the name of another what that has.
pub(super) fn write_windows_out(select: &mut Select) -> Result<(), PlanError> {
    let mut windows = Windows(vec![]);
    for NamedWindowDefinition(name, definition) in &mut select.named_window {
        match definition {
            NamedWindowExpr::WindowSpec(spec) => {
                windows.write_out(spec)?;
                windows.0.push((name.clone(), spec.clone()));
            }
            NamedWindowExpr::NamedWindow(other) => {
                let spec = windows.find(other).cloned();
                windows.0.extend(spec.map(|spec| (name.clone(), spec)));
            }
        }
    }
    select.projection.iter_mut().try_for_each(|item| walk_mut(item, &mut windows))?;
    match &mut select.qualify {
        Some(condition) => walk_mut(condition, &mut windows),
        None => Ok(()),
    }
}

impl Windows {
    fn find(&self, name: &Ident) -> Option<&WindowSpec> {
        self.0.iter().find(|(known, _)| known.value == name.value).map(|(_, spec)| spec)
    }

    fn write_out(&self, spec: &mut WindowSpec) -> Result<(), PlanError> {
        let Some(name) = spec.window_name.take() else { return Ok(()) };
        let Some(base) = self.find(&name) else {
            let message =
                format!("window '{}' is not defined: add WINDOW {} AS (..)", name.value, name.value);
            return Err(PlanError::invalid(message).at(name.span));
        };
        if let Some(key) = spec.partition_by.first() {
            let message = format!("a window that goes on from '{}' has its PARTITION BY", name.value);
            return Err(PlanError::invalid(message).at(key.span()));
        }
        if let (Some(key), false) = (spec.order_by.first(), base.order_by.is_empty()) {
            let message = format!("a window that goes on from '{}' has its ORDER BY", name.value);
            return Err(PlanError::invalid(message).at(key.span()));
        }
        if base.window_frame.is_some() {
            let message = format!("no window goes on from '{}', which has a frame: write it out", name.value);
            return Err(PlanError::invalid(message).at(name.span));
        }
        spec.partition_by.clone_from(&base.partition_by);
        if spec.order_by.is_empty() {
            spec.order_by.clone_from(&base.order_by);
        }
        Ok(())
    }
}

impl VisitorMut for Windows {
    type Break = PlanError;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<PlanError> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let called = function_name(function);
        match &mut function.over {
            Some(WindowType::WindowSpec(spec)) => match self.write_out(spec) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => ControlFlow::Break(error),
            },
            Some(WindowType::NamedWindow(name)) => {
                match self.find(name).and_then(|spec| spec.window_frame.as_ref()) {
                    Some(frame) => check_frame(&called, frame, name.span),
                    None => ControlFlow::Continue(()),
                }
            }
            None => ControlFlow::Continue(()),
        }
    }
}
