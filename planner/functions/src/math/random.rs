//! Random numbers. Without a seed they come from the job's source of randomness; with one, from the generator of
//! `java.util.Random`, so that a seed gives the sequence that it gives in Flink.

use super::super::arguments::Inputs;
use arrow::array::{ArrayRef, Float64Array, Int32Array, StringBuilder};
use arrow::datatypes::Int32Type;
use datafusion_common::{Result, exec_err};
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use weir_types::RandomSource;

/// The linear congruential generator that the documentation of `java.util.Random` fixes.
#[derive(Debug)]
struct JavaRandom(u64);

const MASK: u64 = (1 << 48) - 1;

impl JavaRandom {
    fn new(seed: i64) -> Self {
        JavaRandom((seed as u64 ^ 0x5_deec_e66d) & MASK)
    }

    fn bits(&mut self, count: u32) -> i32 {
        self.0 = self.0.wrapping_mul(0x5_deec_e66d).wrapping_add(0xb) & MASK;
        (self.0 >> (48 - count)) as i32
    }

    fn double(&mut self) -> f64 {
        let (high, low) = (self.bits(26) as u64, self.bits(27) as u64);
        ((high << 27) + low) as f64 / (1u64 << 53) as f64
    }

    /// In `[0, bound)`; `bound` is positive.
    fn below(&mut self, bound: i32) -> i32 {
        if bound & (bound - 1) == 0 {
            return ((i64::from(bound) * i64::from(self.bits(31))) >> 31) as i32;
        }
        loop {
            let bits = self.bits(31);
            let value = bits % bound;
            // The last, incomplete range of values would favour small ones.
            if bits.wrapping_sub(value).wrapping_add(bound - 1) >= 0 {
                return value;
            }
        }
    }
}

/// The generator of a call with a constant seed, which goes on from batch to batch.
fn seeded(inputs: &Inputs<'_>, seed: i32) -> Result<Arc<Mutex<JavaRandom>>> {
    let compile = |_: &str| Ok(Mutex::new(JavaRandom::new(i64::from(seed))));
    inputs.cache.get_or_compile(&seed.to_string(), compile)
}

fn uniform(random: &dyn RandomSource) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

pub(super) fn rand(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let random = inputs.context.random.as_ref();
    if inputs.len() == 0 {
        return Ok(Arc::new(Float64Array::from_iter_values((0..inputs.rows).map(|_| uniform(random)))));
    }
    let seeds = inputs.primitives::<Int32Type>(0)?;
    if let Some(Some(seed)) = seeds.constant() {
        let generator = seeded(inputs, seed)?;
        let mut generator = generator.lock().unwrap_or_else(PoisonError::into_inner);
        return Ok(Arc::new(Float64Array::from_iter_values((0..inputs.rows).map(|_| generator.double()))));
    }
    let value = |row| seeds.get(row).map(|seed| JavaRandom::new(i64::from(seed)).double());
    Ok(Arc::new((0..inputs.rows).map(value).collect::<Float64Array>()))
}

pub(super) fn rand_integer(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let bounds = inputs.primitives::<Int32Type>(inputs.len() - 1)?;
    let checked = |bound: i32| match bound > 0 {
        true => Ok(bound),
        false => exec_err!("the bound of RAND_INTEGER is positive, not {bound}"),
    };
    let random = inputs.context.random.as_ref();
    if inputs.len() == 1 {
        let value = |row| match bounds.get(row) {
            Some(bound) => Ok(Some((uniform(random) * f64::from(checked(bound)?)) as i32)),
            None => Ok(None),
        };
        return Ok(Arc::new((0..inputs.rows).map(value).collect::<Result<Int32Array>>()?));
    }
    let seeds = inputs.primitives::<Int32Type>(0)?;
    let constant = match seeds.constant() {
        Some(Some(seed)) => Some(seeded(inputs, seed)?),
        _ => None,
    };
    let value = |row| match (seeds.get(row), bounds.get(row)) {
        (Some(seed), Some(bound)) => {
            let bound = checked(bound)?;
            Ok(Some(match &constant {
                Some(generator) => generator.lock().unwrap_or_else(PoisonError::into_inner).below(bound),
                None => JavaRandom::new(i64::from(seed)).below(bound),
            }))
        }
        _ => Ok(None),
    };
    Ok(Arc::new((0..inputs.rows).map(value).collect::<Result<Int32Array>>()?))
}

/// Version 4 of RFC 9562.
pub(super) fn uuid(inputs: &Inputs<'_>) -> Result<ArrayRef> {
    let mut builder = StringBuilder::with_capacity(inputs.rows, inputs.rows * 36);
    for _ in 0..inputs.rows {
        let random = inputs.context.random.as_ref();
        let high = random.next_u64() & !0xf000 | 0x4000;
        let low = random.next_u64() & !(0b11 << 62) | 0b10 << 62;
        let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xffff);
        // Writing to a builder does not fail.
        let _ = write!(builder, "{a:08x}-{b:04x}-{c:04x}-{:04x}-{:012x}", low >> 48, low & 0xffff_ffff_ffff);
        builder.append_value("");
    }
    Ok(Arc::new(builder.finish()))
}
