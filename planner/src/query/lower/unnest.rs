//! Collections spread into rows.

use super::Lowering;
use super::builder::{NewNode, Stream};
use super::relations::without_dependencies;
use crate::PlanError;
use crate::query::error::plan_error;
use crate::query::text::expr_text;
use crate::query::unnest::Unnest;
use datafusion_common::{Column, DFSchema, Result};
use datafusion_expr::UserDefinedLogicalNodeCore;
use std::collections::BTreeSet;
use std::sync::Arc;
use weir_functions::analyze_expr;
use weir_types::{Exchange, OperatorSpec, UnnestSpec};

impl Lowering<'_> {
    /// `wanted`: the columns that are read above; all without. What nobody reads is not copied for each element.
    pub fn unnest(
        &mut self,
        unnest: &Unnest,
        wanted: Option<&BTreeSet<&Column>>,
    ) -> Result<Stream, PlanError> {
        let input = self.plan(&unnest.input)?;
        self.unnest_rows(unnest, input, wanted).map_err(plan_error)
    }

    fn unnest_rows(
        &mut self,
        unnest: &Unnest,
        input: Stream,
        wanted: Option<&BTreeSet<&Column>>,
    ) -> Result<Stream> {
        let (input, node) = self.settle(input)?;
        let handed_on = unnest.input.schema().columns();
        // A condition is over the rows that come out, with all that it reads.
        let wanted = wanted.filter(|_| unnest.condition.is_none());
        let handed_on = handed_on.iter().filter(|column| wanted.is_none_or(|wanted| wanted.contains(column)));
        let mut columns = vec![];
        let mut fields = vec![];
        for column in handed_on {
            let place = input.schema.index_of_column(column)?;
            let (table, field) = input.schema.qualified_field(place);
            columns.push(place);
            fields.push((table.cloned(), field.clone()));
        }
        let schema = unnest.schema();
        let first = schema.fields().len() - unnest.appended().len();
        fields.extend(schema.iter().skip(first).map(|(table, field)| (table.cloned(), field.clone())));
        let schema = without_dependencies(&DFSchema::new_with_metadata(fields, Default::default())?)?;
        let registry = &self.functions.scalar;
        let condition = unnest.condition.clone().map(|condition| analyze_expr(registry, condition, &schema));
        let condition = condition.transpose()?;
        let spec = UnnestSpec {
            condition: condition.as_ref().map(|condition| self.physical(condition, &schema)).transpose()?,
            collection: self.physical(&unnest.collection, &input.schema)?,
            collection_type: unnest.collection_type.clone(),
            columns,
            ordinality: unnest.ordinality,
            outer: unnest.outer,
        };
        let text = expr_text(&unnest.collection);
        let ordinality = if unnest.ordinality { " WITH ORDINALITY" } else { "" };
        let kind = if unnest.outer { "LEFT" } else { "INNER" };
        let on = condition.as_ref().map_or_else(String::new, |on| format!(", condition=[{}]", expr_text(on)));
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        let label = format!(
            "Correlate(invocation=[UNNEST({text}){ordinality}], joinType=[{kind}]{on}, select=[{}])",
            names.join(", ")
        );
        Ok(self.builder.add(NewNode {
            kind: "unnest",
            clause: text,
            meaning: format!("{spec:?}"),
            shareable: !unnest.collection.is_volatile() && !condition.is_some_and(|on| on.is_volatile()),
            label,
            spec: OperatorSpec::Unnest(spec),
            inputs: vec![(node, Exchange::Forward)],
            schema: Arc::new(schema),
            state: None,
            table: None,
            connector: None,
            single: false,
        }))
    }
}
