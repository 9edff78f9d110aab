//! `CREATE TABLE t (..) WITH (..) LIKE other (INCLUDING .., EXCLUDING ..)`.
//!
//! The rules are Flink's: physical columns always come along, and before the new ones; other features are merged as the
//! clause says, options are overwritten by default and everything else is included.

use super::definition::TableDefinition;
use super::{CatalogTable, ColumnSource};
use crate::PlanError;
use crate::parser::{
    ColumnDefinition, ColumnDefinitionKind, LikeFeature, LikeMode, PrimaryKey, Property, TableLike, Text,
    WatermarkDefinition, bare,
};
use sqlparser::tokenizer::Span;
use weir_types::{ColumnKind, SqlField};

/// How each feature is merged.
struct Modes<'a>(&'a TableLike);

impl Modes<'_> {
    fn of(&self, feature: LikeFeature) -> LikeMode {
        let given =
            |wanted| self.0.options.iter().find(|(_, feature, _)| *feature == wanted).map(|option| option.0);
        let all = given(LikeFeature::All);
        given(feature).or(all).unwrap_or(match feature {
            LikeFeature::Options => LikeMode::Overwriting,
            _ => LikeMode::Including,
        })
    }

    fn check(&self) -> Result<(), PlanError> {
        for (index, (mode, feature, span)) in self.0.options.iter().enumerate() {
            if self.0.options[..index].iter().any(|(_, other, _)| other == feature) {
                return Err(PlanError::invalid("LIKE names a feature twice").at(*span));
            }
            let can_overwrite = matches!(
                feature,
                LikeFeature::Generated
                    | LikeFeature::Metadata
                    | LikeFeature::Options
                    | LikeFeature::Watermarks
            );
            if *mode == LikeMode::Overwriting && !can_overwrite {
                let message = "OVERWRITING goes with GENERATED, METADATA, OPTIONS or WATERMARKS only";
                return Err(PlanError::invalid(message).at(*span));
            }
        }
        Ok(())
    }
}

/// `own` with what LIKE takes from `base`.
pub(crate) fn merge_like(
    base: &CatalogTable,
    like: &TableLike,
    own: TableDefinition,
) -> Result<TableDefinition, PlanError> {
    let modes = Modes(like);
    modes.check()?;
    let descriptor = &base.descriptor;
    Ok(TableDefinition {
        columns: columns(base, &modes, own.columns)?,
        watermark: watermark(base, &modes, own.watermark)?,
        primary_key: primary_key(base, &modes, own.primary_key)?,
        comment: own.comment.or_else(|| descriptor.comment.clone()),
        partition_keys: match (modes.of(LikeFeature::Partitions), own.partition_keys) {
            (LikeMode::Excluding, own) => own,
            (_, own) if own.is_empty() => descriptor.partition_keys.iter().map(|key| bare(key)).collect(),
            (_, own) if descriptor.partition_keys.is_empty() => own,
            (_, own) => return Err(conflict("partitions", "PARTITIONS", own[0].span)),
        },
        options: options(base, modes.of(LikeFeature::Options), own.options)?,
    })
}

fn conflict(what: &str, feature: &str, span: Span) -> PlanError {
    let message =
        format!("the table that LIKE names has {what} already, write EXCLUDING {feature} to leave them out");
    PlanError::invalid(message).at(span)
}

fn columns(
    base: &CatalogTable,
    modes: &Modes,
    own: Vec<ColumnDefinition>,
) -> Result<Vec<ColumnDefinition>, PlanError> {
    let mut columns = vec![];
    for (column, source) in base.descriptor.columns.iter().zip(&base.sources) {
        let field = || SqlField::new(column.name.clone(), column.sql_type.clone(), column.nullable);
        let (kind, mode) = match (&column.kind, source) {
            (ColumnKind::Metadata { key, is_virtual }, _) => {
                let key = Some(Text { value: key.clone(), span: Span::empty() });
                let kind = ColumnDefinitionKind::Metadata { field: field(), key, is_virtual: *is_virtual };
                (kind, modes.of(LikeFeature::Metadata))
            }
            (_, ColumnSource::Computed(expr)) => {
                (ColumnDefinitionKind::Computed { expr: expr.clone() }, modes.of(LikeFeature::Generated))
            }
            _ => (ColumnDefinitionKind::Physical { field: field() }, LikeMode::Including),
        };
        let replaced = own.iter().find(|own| own.name.value == column.name);
        match (mode, replaced) {
            (LikeMode::Excluding, _) | (LikeMode::Overwriting, Some(_)) => {}
            (_, Some(own)) => {
                let message = format!("column '{}' is in the table that LIKE names already", column.name);
                return Err(PlanError::invalid(message).at(own.name.span));
            }
            (_, None) => {
                let comment = column.comment.clone();
                columns.push(ColumnDefinition { name: bare(&column.name), kind, comment });
            }
        }
    }
    columns.extend(own);
    Ok(columns)
}

fn watermark(
    base: &CatalogTable,
    modes: &Modes,
    own: Option<WatermarkDefinition>,
) -> Result<Option<WatermarkDefinition>, PlanError> {
    let inherited = base.watermark.as_ref().map(|watermark| WatermarkDefinition {
        column: bare(&base.descriptor.columns[watermark.column].name),
        expr: watermark.expr.clone(),
    });
    match (modes.of(LikeFeature::Watermarks), inherited, own) {
        (LikeMode::Excluding, _, own) | (_, None, own) => Ok(own),
        (_, inherited, None) => Ok(inherited),
        (LikeMode::Overwriting, _, own) => Ok(own),
        (LikeMode::Including, _, Some(own)) => Err(conflict("a watermark", "WATERMARKS", own.column.span)),
    }
}

fn primary_key(
    base: &CatalogTable,
    modes: &Modes,
    own: Option<PrimaryKey>,
) -> Result<Option<PrimaryKey>, PlanError> {
    let names = &base.descriptor.primary_key;
    let inherited = (!names.is_empty())
        .then(|| PrimaryKey { columns: names.iter().map(|name| bare(name)).collect(), span: Span::empty() });
    match (modes.of(LikeFeature::Constraints), inherited, own) {
        (LikeMode::Excluding, _, own) | (_, None, own) => Ok(own),
        (_, inherited, None) => Ok(inherited),
        (_, _, Some(own)) => Err(conflict("a primary key", "CONSTRAINTS", own.span)),
    }
}

fn options(base: &CatalogTable, mode: LikeMode, own: Vec<Property>) -> Result<Vec<Property>, PlanError> {
    if mode == LikeMode::Excluding {
        return Ok(own);
    }
    let text = |value: &String| Text { value: value.clone(), span: Span::empty() };
    let mut options: Vec<Property> = vec![];
    for (key, value) in &base.descriptor.options {
        match own.iter().find(|own| own.key.value == *key) {
            Some(own) if mode == LikeMode::Including => {
                return Err(conflict(&format!("option '{key}'"), "OPTIONS", own.key.span));
            }
            Some(_) => {}
            None => options.push(Property { key: text(key), value: text(value) }),
        }
    }
    options.extend(own);
    Ok(options)
}
