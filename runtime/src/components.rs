//! Where operators, sources and sinks come from.

use arrow::datatypes::SchemaRef;
use std::sync::Arc;
use weir_connectors::{ConnectorError, Connectors, Sink, Source};
use weir_operators::{Operator, OperatorError, create_operator};
use weir_types::{JobSettings, OperatorNode, SinkSpec, SourceSpec};

/// Makes what a job graph names. Tests bring their own.
pub trait Components: Send + Sync {
    fn source(&self, spec: &SourceSpec) -> Result<Arc<dyn Source>, ConnectorError>;

    fn sink(&self, spec: &SinkSpec) -> Result<Arc<dyn Sink>, ConnectorError>;

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

    fn operator(
        &self,
        node: &OperatorNode,
        inputs: &[SchemaRef],
        settings: &JobSettings,
    ) -> Result<Box<dyn Operator>, OperatorError> {
        create_operator(node, inputs, settings)
    }
}
