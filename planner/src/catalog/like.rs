//! `CREATE TABLE t (..) WITH (..) LIKE other (INCLUDING .., EXCLUDING ..)`.
//!
//! The rules are Flink's: physical columns always come along, and before the new ones; other features are merged as the
//! clause says, options are overwritten by default and everything else is included.

use super::CatalogTable;
use super::definition::TableDefinition;
use crate::PlanError;
use crate::parser::{
    ColumnDefinition, ColumnDefinitionKind, LikeFeature, LikeMode, PrimaryKey, Property, TableLike,
    WatermarkDefinition,
};
use sqlparser::tokenizer::Span;

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
    let base = TableDefinition::of_table(base);
    Ok(TableDefinition {
        columns: columns(base.columns, &modes, own.columns)?,
        watermark: watermark(base.watermark, &modes, own.watermark)?,
        primary_key: primary_key(base.primary_key, &modes, own.primary_key)?,
        comment: own.comment.or(base.comment),
        partition_keys: match (modes.of(LikeFeature::Partitions), own.partition_keys) {
            (LikeMode::Excluding, own) => own,
            (_, own) if own.is_empty() => base.partition_keys,
            (_, own) if base.partition_keys.is_empty() => own,
            (_, own) => return Err(conflict("partitions", "PARTITIONS", own[0].span)),
        },
        options: options(base.options, modes.of(LikeFeature::Options), own.options)?,
    })
}

fn conflict(what: &str, feature: &str, span: Span) -> PlanError {
    let message =
        format!("the table that LIKE names has {what} already, write EXCLUDING {feature} to leave them out");
    PlanError::invalid(message).at(span)
}

fn columns(
    base: Vec<ColumnDefinition>,
    modes: &Modes,
    own: Vec<ColumnDefinition>,
) -> Result<Vec<ColumnDefinition>, PlanError> {
    let mut columns = vec![];
    for column in base {
        let mode = match column.kind {
            ColumnDefinitionKind::Metadata { .. } => modes.of(LikeFeature::Metadata),
            ColumnDefinitionKind::Computed { .. } => modes.of(LikeFeature::Generated),
            ColumnDefinitionKind::Physical { .. } => LikeMode::Including,
        };
        let replaced = own.iter().find(|own| own.name.value == column.name.value);
        match (mode, replaced) {
            (LikeMode::Excluding, _) | (LikeMode::Overwriting, Some(_)) => {}
            (_, Some(own)) => {
                let name = &column.name.value;
                let message = format!("column '{name}' is in the table that LIKE names already");
                return Err(PlanError::invalid(message).at(own.name.span));
            }
            (_, None) => columns.push(column),
        }
    }
    columns.extend(own);
    Ok(columns)
}

fn watermark(
    base: Option<WatermarkDefinition>,
    modes: &Modes,
    own: Option<WatermarkDefinition>,
) -> Result<Option<WatermarkDefinition>, PlanError> {
    match (modes.of(LikeFeature::Watermarks), base, own) {
        (LikeMode::Excluding, _, own) | (_, None, own) => Ok(own),
        (_, inherited, None) => Ok(inherited),
        (LikeMode::Overwriting, _, own) => Ok(own),
        (LikeMode::Including, _, Some(own)) => Err(conflict("a watermark", "WATERMARKS", own.column.span)),
    }
}

fn primary_key(
    base: Option<PrimaryKey>,
    modes: &Modes,
    own: Option<PrimaryKey>,
) -> Result<Option<PrimaryKey>, PlanError> {
    match (modes.of(LikeFeature::Constraints), base, own) {
        (LikeMode::Excluding, _, own) | (_, None, own) => Ok(own),
        (_, inherited, None) => Ok(inherited),
        (_, _, Some(own)) => Err(conflict("a primary key", "CONSTRAINTS", own.span)),
    }
}

fn options(base: Vec<Property>, mode: LikeMode, own: Vec<Property>) -> Result<Vec<Property>, PlanError> {
    if mode == LikeMode::Excluding {
        return Ok(own);
    }
    let mut options: Vec<Property> = vec![];
    for option in base {
        let key = &option.key.value;
        match own.iter().find(|own| own.key.value == *key) {
            Some(own) if mode == LikeMode::Including => {
                return Err(conflict(&format!("option '{key}'"), "OPTIONS", own.key.span));
            }
            Some(_) => {}
            None => options.push(option),
        }
    }
    options.extend(own);
    Ok(options)
}
