//! Durations and memory sizes as options and settings write them: `10 s`, `500 ms`, `1 min`, `128 mb`.
//!
//! The units are those of Flink's `TimeUtils.parseDuration` and `MemorySize.parse`: a duration without a unit is
//! milliseconds, a size without one bytes, and `kb` is 1024 bytes.

/// Label and length in nanoseconds.
const DURATION_UNITS: &[(&[&str], u128)] = &[
    (&["d", "day", "days"], 86_400_000_000_000),
    (&["h", "hour", "hours"], 3_600_000_000_000),
    (&["min", "m", "minute", "minutes"], 60_000_000_000),
    (&["s", "sec", "secs", "second", "seconds"], 1_000_000_000),
    (&["ms", "milli", "millis", "millisecond", "milliseconds"], 1_000_000),
    (&["µs", "micro", "micros", "microsecond", "microseconds"], 1_000),
    (&["ns", "nano", "nanos", "nanosecond", "nanoseconds"], 1),
];

const SIZE_UNITS: &[(&[&str], u32)] = &[
    (&["b", "bytes"], 0),
    (&["k", "kb", "kibibytes"], 10),
    (&["m", "mb", "mebibytes"], 20),
    (&["g", "gb", "gibibytes"], 30),
    (&["t", "tb", "tebibytes"], 40),
];

/// The number and the lower-cased unit of `text`.
fn split(text: &str) -> Option<(u128, String)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number = text[..digits].parse().ok()?;
    Some((number, text[digits..].trim().to_lowercase()))
}

/// Milliseconds of a duration; what is finer than a millisecond is cut off. The error says what is expected.
pub fn parse_duration_ms(text: &str) -> Result<u64, String> {
    let expected = || {
        format!(
            "'{text}' is not a duration: write a number and one of d, h, min, s, ms, such as '10 s' or '500 ms'"
        )
    };
    let (number, unit) = split(text).ok_or_else(expected)?;
    let nanos = if unit.is_empty() {
        1_000_000
    } else {
        DURATION_UNITS.iter().find(|(labels, _)| labels.contains(&unit.as_str())).ok_or_else(expected)?.1
    };
    let ms = number.checked_mul(nanos).map(|total| total / 1_000_000);
    // Times are added to each other as signed 64-bit milliseconds later.
    match ms.and_then(|ms| i64::try_from(ms).ok()) {
        Some(ms) => Ok(ms.unsigned_abs()),
        None => Err(format!("'{text}' is too long a duration: at most 2^63 ms")),
    }
}

/// Bytes of a memory size. The error says what is expected.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let expected =
        || format!("'{text}' is not a size: write a number and one of b, kb, mb, gb, tb, such as '128 mb'");
    let (number, unit) = split(text).ok_or_else(expected)?;
    let shift = if unit.is_empty() {
        0
    } else {
        SIZE_UNITS.iter().find(|(labels, _)| labels.contains(&unit.as_str())).ok_or_else(expected)?.1
    };
    let bytes = number.checked_mul(1 << shift).and_then(|bytes| i64::try_from(bytes).ok());
    bytes.map(i64::unsigned_abs).ok_or_else(|| format!("'{text}' is too large a size: at most 2^63 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_flink_reads_them() {
        for (text, ms) in [
            ("10 s", 10_000),
            ("500ms", 500),
            ("1 min", 60_000),
            ("1 m", 60_000),
            (" 2 H ", 7_200_000),
            ("3 days", 259_200_000),
            ("42", 42),
            ("0", 0),
            ("1500 micros", 1),
            ("999999 ns", 0),
        ] {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for text in ["", "s", "-1 s", "1.5 s", "10 parsecs", "1 s 2 ms", "99999999999999999999 d"] {
            assert!(parse_duration_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_as_flink_reads_them() {
        for (text, bytes) in [
            ("128MB", 128 << 20),
            ("128 mb", 128 << 20),
            ("1k", 1024),
            ("7", 7),
            ("1 g", 1 << 30),
            ("5 bytes", 5),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "mb", "1.5 mb", "1 pb", "-1", "99999999999 tb"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
