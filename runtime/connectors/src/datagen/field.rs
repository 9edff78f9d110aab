//! What the options `fields.<name>.*` say about each column.

use crate::options::TableOptions;
use crate::random::RandomStream;
use weir_types::{OptionError, SqlField, SqlType, TableColumn, TableDescriptor};

/// How to make the values of one column.
#[derive(Clone, Debug)]
pub(super) struct FieldSpec {
    pub sql_type: SqlType,
    pub values: Values,
    /// of 2^64 random numbers, those below this give NULL
    pub nulls_below: u64,
    pub null_stream: RandomStream,
    pub stream: RandomStream,
}

#[derive(Clone, Debug)]
pub(super) enum Values {
    /// `start + row`; `end` is inclusive
    Sequence {
        start: i64,
        end: i64,
    },
    Boolean,
    /// both inclusive; for DECIMAL in units of its scale
    Integer {
        min: i128,
        max: i128,
    },
    Float {
        min: f64,
        max: f64,
    },
    /// hexadecimal digits
    Text {
        length: usize,
        var_len: bool,
    },
    Bytes {
        length: usize,
        var_len: bool,
    },
    /// the current day or time of day
    Now,
    /// a time within this before now
    Past {
        max_past_ms: u64,
    },
    Array {
        length: usize,
        element: Box<FieldSpec>,
    },
    /// entries of keys that come twice are one
    Map {
        length: usize,
        key: Box<FieldSpec>,
        value: Box<FieldSpec>,
    },
    Row(Vec<FieldSpec>),
}

/// Flink's default length of strings, and of collections.
const DEFAULT_LENGTH: usize = 100;
const DEFAULT_COLLECTION_LENGTH: usize = 3;
/// Flink's longest interval of months, and how often a multiset has an element at most.
const MAX_MONTHS: i128 = 120_000;
const MAX_COUNT: i128 = 10;
/// A batch of 8,192 values of this length fits Arrow's 32-bit offsets.
const MAX_LENGTH: usize = 100_000;

/// The options of one field while they are read.
struct Reader<'a> {
    options: &'a TableOptions<'a>,
    table: &'a str,
    /// `fields.address.city`
    prefix: String,
}

impl FieldSpec {
    pub fn read(
        table: &TableDescriptor,
        column: &TableColumn,
        options: &TableOptions,
    ) -> Result<FieldSpec, OptionError> {
        let prefix = format!("fields.{}", column.name);
        Reader { options, table: &table.name, prefix }.field(&column.sql_type, column.nullable)
    }

    /// The rows that the field's sequences are good for.
    pub fn sequence_length(&self) -> Option<u64> {
        match &self.values {
            Values::Sequence { start, end } => u64::try_from(i128::from(*end) - i128::from(*start) + 1).ok(),
            Values::Row(members) => members.iter().filter_map(FieldSpec::sequence_length).min(),
            _ => None,
        }
    }
}

impl Reader<'_> {
    fn key(&self, option: &str) -> String {
        format!("{}.{option}", self.prefix)
    }

    fn member(&self, name: &str) -> Self {
        Reader { options: self.options, table: self.table, prefix: self.key(name) }
    }

    fn field(&self, sql_type: &SqlType, nullable: bool) -> Result<FieldSpec, OptionError> {
        let sequence = match self.options.text(&self.key("kind")) {
            None | Some("random") => false,
            Some("sequence") => true,
            Some(other) => {
                let reason = format!("'{other}' is neither 'random' nor 'sequence'");
                return Err(self.options.malformed(&self.key("kind"), reason));
            }
        };
        let values = if sequence { self.sequence(sql_type)? } else { self.random(sql_type)? };
        let nulls_below = if sequence { 0 } else { self.null_rate(nullable)? };
        let name = format!("{}.{}", self.table, self.prefix);
        Ok(FieldSpec {
            sql_type: sql_type.clone(),
            values,
            nulls_below,
            null_stream: RandomStream::new(1, &name),
            stream: RandomStream::new(0, &name),
        })
    }

    fn null_rate(&self, nullable: bool) -> Result<u64, OptionError> {
        let key = self.key("null-rate");
        let rate: f64 = self.options.parsed(&key, "a number between 0 and 1")?.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&rate) {
            return Err(self.options.malformed(&key, format!("{rate} is not between 0 and 1")));
        }
        if rate > 0.0 && !nullable {
            return Err(self.options.malformed(&key, "the column is NOT NULL".into()));
        }
        Ok((rate * u64::MAX as f64) as u64)
    }

    fn sequence(&self, sql_type: &SqlType) -> Result<Values, OptionError> {
        let (lowest, highest): (i128, i128) = match sql_type {
            SqlType::TinyInt => (i8::MIN.into(), i8::MAX.into()),
            SqlType::SmallInt => (i16::MIN.into(), i16::MAX.into()),
            SqlType::Int => (i32::MIN.into(), i32::MAX.into()),
            SqlType::Decimal { precision, scale } => {
                let limit = 10_i128.pow(u32::from(*precision).saturating_sub((*scale).max(0) as u32)) - 1;
                (-limit, limit)
            }
            SqlType::BigInt | SqlType::Float | SqlType::Double | SqlType::Char(_) | SqlType::Varchar(_) => {
                (i64::MIN.into(), i64::MAX.into())
            }
            other => {
                let reason = format!("{other} has no sequences: write 'random'");
                return Err(self.options.malformed(&self.key("kind"), reason));
            }
        };
        let bound = |name: &str| -> Result<i64, OptionError> {
            let key = self.key(name);
            self.options.required(&key, "where the sequence begins and ends, inclusive")?;
            let value: i64 = self.options.parsed(&key, "a whole number")?.unwrap_or(0);
            match (lowest..=highest).contains(&i128::from(value)) {
                true => Ok(value),
                false => Err(self.options.malformed(&key, format!("{value} does not fit {sql_type}"))),
            }
        };
        let (start, end) = (bound("start")?, bound("end")?);
        if start > end {
            return Err(self.options.malformed(&self.key("end"), format!("it is below the start, {start}")));
        }
        Ok(Values::Sequence { start, end })
    }

    fn random(&self, sql_type: &SqlType) -> Result<Values, OptionError> {
        Ok(match sql_type {
            SqlType::Boolean => Values::Boolean,
            SqlType::TinyInt => self.integer(sql_type, i8::MIN.into(), i8::MAX.into())?,
            SqlType::SmallInt => self.integer(sql_type, i16::MIN.into(), i16::MAX.into())?,
            SqlType::Int => self.integer(sql_type, i32::MIN.into(), i32::MAX.into())?,
            SqlType::BigInt => self.integer(sql_type, i64::MIN.into(), i64::MAX.into())?,
            SqlType::Decimal { precision, scale } => self.decimal(*precision, *scale)?,
            SqlType::Float => self.float(f64::from(f32::MIN), f64::from(f32::MAX))?,
            SqlType::Double => self.float(f64::MIN, f64::MAX)?,
            SqlType::Char(length) => Values::Text { length: self.fixed_length(*length)?, var_len: false },
            SqlType::Binary(length) => Values::Bytes { length: self.fixed_length(*length)?, var_len: false },
            SqlType::Varchar(longest) => {
                let (length, var_len) = self.length(*longest)?;
                Values::Text { length, var_len }
            }
            SqlType::Varbinary(longest) => {
                let (length, var_len) = self.length(*longest)?;
                Values::Bytes { length, var_len }
            }
            SqlType::Date | SqlType::Time(_) => Values::Now,
            SqlType::Timestamp(_) | SqlType::TimestampLtz(_) => {
                Values::Past { max_past_ms: self.options.duration_ms(&self.key("max-past"))?.unwrap_or(0) }
            }
            SqlType::Array(element) => Values::Array {
                length: self.read_length()?.unwrap_or(DEFAULT_COLLECTION_LENGTH),
                element: Box::new(self.nested("element", element)?),
            },
            SqlType::Map(key, value) => Values::Map {
                length: self.read_length()?.unwrap_or(DEFAULT_COLLECTION_LENGTH),
                // A key is never NULL.
                key: Box::new(self.member("key").field(&key.sql_type, false)?),
                value: Box::new(self.nested("value", value)?),
            },
            SqlType::Multiset(element) => Values::Map {
                length: self.read_length()?.unwrap_or(DEFAULT_COLLECTION_LENGTH),
                key: Box::new(self.member("element").field(&element.sql_type, false)?),
                value: Box::new(self.count()),
            },
            SqlType::IntervalYearMonth => {
                let range = (i32::MIN.into(), i32::MAX.into());
                self.integer_within(sql_type, range, (0, MAX_MONTHS))?
            }
            SqlType::IntervalDayTime => self.integer(sql_type, i64::MIN.into(), i64::MAX.into())?,
            SqlType::Row(members) => Values::Row(
                members.iter().map(|member| self.nested(&member.name, member)).collect::<Result<_, _>>()?,
            ),
            other => {
                return Err(self.options.table_error(format!(
                    "connector 'datagen' makes no values of type {other} ({}): leave the column out or \
                     compute it",
                    self.prefix
                )));
            }
        })
    }

    /// How often a multiset has an element.
    fn count(&self) -> FieldSpec {
        let name = format!("{}.{}.$count", self.table, self.prefix);
        FieldSpec {
            sql_type: SqlType::Int,
            values: Values::Integer { min: 0, max: MAX_COUNT },
            nulls_below: 0,
            null_stream: RandomStream::new(1, &name),
            stream: RandomStream::new(0, &name),
        }
    }

    fn nested(&self, name: &str, field: &SqlField) -> Result<FieldSpec, OptionError> {
        self.member(name).field(&field.sql_type, field.nullable)
    }

    fn integer(&self, sql_type: &SqlType, lowest: i128, highest: i128) -> Result<Values, OptionError> {
        self.integer_within(sql_type, (lowest, highest), (lowest, highest))
    }

    fn integer_within(
        &self,
        sql_type: &SqlType,
        (lowest, highest): (i128, i128),
        default: (i128, i128),
    ) -> Result<Values, OptionError> {
        let expected = format!("a whole number that fits {sql_type}");
        let bound = |name: &str, default: i128| -> Result<i128, OptionError> {
            let key = self.key(name);
            let value = self.options.parsed(&key, &expected)?.unwrap_or(default);
            match (lowest..=highest).contains(&value) {
                true => Ok(value),
                false => Err(self.options.malformed(&key, format!("{value} does not fit {sql_type}"))),
            }
        };
        let (min, max) = (bound("min", default.0)?, bound("max", default.1)?);
        self.ordered(min <= max)?;
        Ok(Values::Integer { min, max })
    }

    /// Bounds beyond what the type can hold are cut to it, as in Flink.
    fn decimal(&self, precision: u8, scale: i8) -> Result<Values, OptionError> {
        let limit = 10_i128.pow(precision.into()) - 1;
        let bound = |name: &str, default: i128| -> Result<i128, OptionError> {
            let value: Option<f64> = self.options.parsed(&self.key(name), "a number")?;
            let unscaled = value.map(|value| (value * 10_f64.powi(scale.into())).round() as i128);
            Ok(unscaled.unwrap_or(default).clamp(-limit, limit))
        };
        let (min, max) = (bound("min", -limit)?, bound("max", limit)?);
        self.ordered(min <= max)?;
        Ok(Values::Integer { min, max })
    }

    fn float(&self, lowest: f64, highest: f64) -> Result<Values, OptionError> {
        let bound = |name: &str, default: f64| -> Result<f64, OptionError> {
            let value: f64 = self.options.parsed(&self.key(name), "a number")?.unwrap_or(default);
            match (lowest..=highest).contains(&value) {
                true => Ok(value),
                false => {
                    Err(self.options.malformed(&self.key(name), format!("{value} does not fit the type")))
                }
            }
        };
        let (min, max) = (bound("min", lowest)?, bound("max", highest)?);
        self.ordered(min <= max)?;
        Ok(Values::Float { min, max })
    }

    fn ordered(&self, ordered: bool) -> Result<(), OptionError> {
        match ordered {
            true => Ok(()),
            false => Err(self.options.malformed(&self.key("max"), "it is below the minimum".into())),
        }
    }

    fn read_length(&self) -> Result<Option<usize>, OptionError> {
        let key = self.key("length");
        let length = self.options.parsed::<usize>(&key, "a whole number")?;
        match length {
            Some(length) if length > MAX_LENGTH => {
                Err(self.options.malformed(&key, format!("{length} is above the longest, {MAX_LENGTH}")))
            }
            length => Ok(length),
        }
    }

    /// CHAR(n) and BINARY(n) have their length in the type.
    fn fixed_length(&self, of_type: u32) -> Result<usize, OptionError> {
        let of_type = of_type as usize;
        match self.read_length()? {
            Some(length) if length != of_type => Err(self.options.malformed(
                &self.key("length"),
                format!("the type's length is fixed at {of_type}: leave the option out"),
            )),
            _ if of_type > MAX_LENGTH => Err(self.options.table_error(format!(
                "connector 'datagen' makes values of at most {MAX_LENGTH} characters ({})",
                self.prefix
            ))),
            _ => Ok(of_type),
        }
    }

    fn length(&self, longest: u32) -> Result<(usize, bool), OptionError> {
        let var_len = self.options.boolean(&self.key("var-len"))?.unwrap_or(false);
        let default = match longest {
            SqlType::MAX_LENGTH => DEFAULT_LENGTH,
            longest => (longest as usize).min(MAX_LENGTH),
        };
        let length = self.read_length()?.unwrap_or(default);
        if length > longest as usize {
            let reason = format!("{length} is above the type's length, {longest}");
            return Err(self.options.malformed(&self.key("length"), reason));
        }
        if length == 0 && var_len {
            return Err(self.options.malformed(&self.key("length"), "0 leaves nothing to vary".into()));
        }
        Ok((length, var_len))
    }
}
