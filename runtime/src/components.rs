//! Where operators, sources and sinks come from.

use arrow::datatypes::SchemaRef;
use std::sync::Arc;
use weir_connectors::{ConnectorError, Connectors, Sink, Source};
use weir_operators::{Operator, OperatorError, create_operator};
use weir_types::{JobSettings, LookupSource, OperatorNode, RuntimeEnv, SinkSpec, SourceSpec};

/// Makes what a job graph names. Tests bring their own.
pub trait Components: Send + Sync {
    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, ConnectorError>;

    fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>, ConnectorError>;

    /// The table of a lookup join, which is asked by the columns at `keys`: places in the projection of `spec`.
    fn lookup(
        &self,
        spec: &SourceSpec,
        keys: &[usize],
        env: &RuntimeEnv,
    ) -> Result<Arc<dyn LookupSource>, ConnectorError>;

    /// One subtask's operator; `inputs` has the schema of each input.
    fn operator(
        &self,
        node: &OperatorNode,
        inputs: &[SchemaRef],
        settings: &JobSettings,
    ) -> Result<Box<dyn Operator>, OperatorError>;
}

/// The connectors and operators of Weir.
pub(crate) struct BuiltIn {
    pub connectors: Connectors,
}

impl Components for BuiltIn {
    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, ConnectorError> {
        self.connectors.source(spec)
    }

    fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>, ConnectorError> {
        self.connectors.sink(spec)
    }

    fn lookup(
        &self,
        spec: &SourceSpec,
        keys: &[usize],
        env: &RuntimeEnv,
    ) -> Result<Arc<dyn LookupSource>, ConnectorError> {
        self.connectors.lookup(spec, keys, env)
    }

    fn operator(
        &self,
        node: &OperatorNode,
        inputs: &[SchemaRef],
        settings: &JobSettings,
    ) -> Result<Box<dyn Operator>, OperatorError> {
        create_operator(node, inputs, settings)
    }
}
