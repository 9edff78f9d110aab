//! What time it is. Read once a batch: the rows of a batch are processed at one time.

use super::super::arguments::Inputs;
use arrow::array::{ArrayRef, Date32Array, Time32MillisecondArray, TimestampMillisecondArray};
use arrow::datatypes::TimeUnit;
use datafusion_common::Result;
use std::sync::Arc;
use weir_types::SqlType;
use weir_types::text::LocalDateTime;

fn local_now(inputs: &Inputs<'_>) -> LocalDateTime {
    let now = LocalDateTime::of_units(inputs.context.clock.now_ms(), TimeUnit::Millisecond);
    inputs.context.time_zone.to_local(now)
}

pub(super) fn timestamp(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let now = inputs.context.clock.now_ms();
    let array = TimestampMillisecondArray::from_value(now, inputs.rows);
    Ok(Arc::new(array.with_timezone(SqlType::LTZ_ZONE)))
}

pub(super) fn local_timestamp(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    // Milliseconds of a clock fit.
    let now = local_now(inputs).to_units(TimeUnit::Millisecond).unwrap_or_default();
    Ok(Arc::new(TimestampMillisecondArray::from_value(now, inputs.rows)))
}

pub(super) fn date(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    Ok(Arc::new(Date32Array::from_value(local_now(inputs).days() as i32, inputs.rows)))
}

pub(super) fn time(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let millis = local_now(inputs).second_of_day() as i32 * 1000;
    Ok(Arc::new(Time32MillisecondArray::from_value(millis, inputs.rows)))
}
