//! From an aggregate call to its accumulator.

use super::bytes::{Bytes, BytesKernel, ResultForm, ValueCodec, inner_field};
use super::bytes_kernels::{
    ARRAY, Concatenated, FIRST_OF_LIST, JOIN, JSON_ARRAY, LAST_OF_LIST, Listed, OneOfBytes,
};
use super::decimal_variance::DecimalVariance;
use super::fixed::{Fixed, Kernel};
use super::json_object::{DUPLICATE_KEY, JsonObject};
use super::lag::Lag;
use super::multiset::{FixedExtreme, GREATEST, LEAST, Multiset, WHOLE};
use super::nth::Nth;
use super::numeric::{
    AND, Avg, Bits, Count, FIRST, IntVariance, LAST, MAX, MIN, OR, One, RankOf, SINGLE, Sum, Variance, XOR,
};
use super::{Accumulator, Native, call_text};
use crate::OperatorError;
use arrow::datatypes::{DataType, Schema};
use weir_types::{AggregateCall, AggregateFunction, KeyEncoder, KeyShape, SqlField, SqlType};

type Created = Result<Box<dyn Accumulator>, OperatorError>;

const ONE_ROW: &str =
    "a scalar subquery gave more than one row where it may give one: aggregate in it, or add LIMIT 1";

/// Digits of a DECIMAL of which 10^18 values, more than a group ever has, make no sum of more than 38 digits.
const SUMS_FIT: u8 = 20;

/// The accumulator of `call` over an input of `schema`, which carries `-U` and `-D` if `retracts`.
///
/// Errors: `Unsupported` for a function or type that is not built, or that cannot take rows back where it
/// must.
pub(crate) fn create_accumulator(call: &AggregateCall, schema: &Schema, retracts: bool) -> Created {
    let types: Vec<&DataType> =
        call.arguments.iter().map(|column| schema.field(*column).data_type()).collect();
    let text = call_text(call, schema);
    let argument = call.arguments.first().and_then(|column| SqlType::of_field(schema.field(*column)));
    Builder { call, types, retracts, text, argument }.build()
}

struct Builder<'a> {
    call: &'a AggregateCall,
    types: Vec<&'a DataType>,
    retracts: bool,
    /// the call as SQL has it
    text: String,
    /// the type of the first argument
    argument: Option<SqlType>,
}

impl Builder<'_> {
    fn build(&self) -> Created {
        use AggregateFunction::*;
        match self.call.function {
            Count => Ok(Box::new(
                Fixed::new(self::Count, self.fields(&[("", SqlType::BigInt)]), self.output()).counting_rows(),
            )),
            Sum | Sum0 => self.sum(self.call.function == Sum0),
            Avg => self.avg(),
            Min => self.extreme::<MIN, LEAST>(),
            Max => self.extreme::<MAX, GREATEST>(),
            FirstValue if self.retracts => self.listed::<FIRST_OF_LIST>(),
            FirstValue => self.one::<FIRST>(""),
            LastValue if self.retracts => self.listed::<LAST_OF_LIST>(),
            LastValue => self.one::<LAST>(""),
            SingleValue => self.one::<SINGLE>(ONE_ROW),
            ListAgg if self.retracts => self.listed::<JOIN>(),
            ListAgg => self.concatenated(),
            ArrayAgg => self.listed::<ARRAY>(),
            Collect => self.collect(),
            StddevPop => self.variance(false, true),
            StddevSamp => self.variance(true, true),
            VarPop => self.variance(false, false),
            VarSamp => self.variance(true, false),
            BoolAnd | BitAnd => self.bits::<AND>(),
            BoolOr | BitOr => self.bits::<OR>(),
            BitXor => self.bits::<XOR>(),
            JsonObjectAgg { .. } => self.json_object(),
            JsonArrayAgg { .. } => self.listed::<JSON_ARRAY>(),
            Lag { .. } | Rank | DenseRank if self.retracts => {
                self.refuse("cannot take rows back: it is for OVER without a frame")
            }
            Lag { rows } => self.lag(rows),
            Rank => self.rank::<false>(),
            DenseRank => self.rank::<true>(),
            NthValue { n } => self.nth(n),
            Lead { .. } | Ntile { .. } | PercentRank | CumeDist => {
                self.refuse("is for OVER that keeps all rows of a partition")
            }
        }
    }

    fn output(&self) -> &DataType {
        self.call.output.data_type()
    }

    fn argument(&self) -> Result<&DataType, OperatorError> {
        self.types.first().copied().ok_or_else(|| {
            OperatorError::Internal(format!("{} lacks its argument", self.call.function.name()))
        })
    }

    /// Fields named after the call: `SUM(price)`, `SUM(price).count`.
    fn fields(&self, fields: &[(&str, SqlType)]) -> Vec<SqlField> {
        let name = |suffix: &str| match suffix {
            "" => self.text.clone(),
            suffix => format!("{}.{suffix}", self.text),
        };
        fields.iter().map(|(suffix, sql_type)| SqlField::new(name(suffix), sql_type.clone(), false)).collect()
    }

    /// One field named after the call, of its argument's type: NULL before the first value.
    fn value_field(&self) -> Result<Vec<SqlField>, OperatorError> {
        let sql_type = self.argument.clone().ok_or_else(|| {
            OperatorError::Internal(format!("{} over a column without a SQL type", self.text))
        })?;
        Ok(vec![SqlField::new(self.text.clone(), sql_type, true)])
    }

    fn fixed<K: Kernel>(&self, kernel: K, fields: &[(&str, SqlType)]) -> Created {
        Ok(Box::new(Fixed::new(kernel, self.fields(fields), self.output())))
    }

    /// A sum of DECIMAL values.
    fn decimal<K: Kernel>(&self, kernel: K, fields: &[(&str, SqlType)]) -> Created {
        let sum = Fixed::new(kernel, self.fields(fields), self.output());
        Ok(match self.argument()? {
            DataType::Decimal128(precision, _) if *precision <= SUMS_FIT => {
                Box::new(sum.never_out_of_range())
            }
            _ => Box::new(sum),
        })
    }

    fn refuse(&self, why: &str) -> Created {
        let types: Vec<String> = self
            .types
            .iter()
            .map(|data_type| {
                SqlType::of_data_type(data_type).map_or(data_type.to_string(), |t| t.to_string())
            })
            .collect();
        let function = self.call.function.name();
        Err(OperatorError::Unsupported(format!("{function}({}) {why}", types.join(", "))))
    }

    fn refuse_type(&self) -> Created {
        self.refuse("is not supported for this type")
    }

    /// The type of a word or two that hold a value of this native type.
    fn word(native: Native) -> SqlType {
        match native {
            Native::Float => SqlType::Double,
            Native::Decimal => SqlType::Decimal { precision: 38, scale: 0 },
            Native::Int | Native::Bytes => SqlType::BigInt,
        }
    }

    fn sum(&self, zero_if_none: bool) -> Created {
        let single = *self.output() == DataType::Float32;
        let argument = Native::of(self.argument()?);
        let result = SqlType::of_field(&self.call.output).filter(|_| Native::of(self.output()) == argument);
        let fields = [("", result.unwrap_or(Self::word(argument))), ("count", SqlType::BigInt)];
        match argument {
            Native::Int => self.fixed(Sum::<i64>::new(zero_if_none, false), &fields),
            Native::Float => self.fixed(Sum::<f64>::new(zero_if_none, single), &fields),
            Native::Decimal => self.decimal(Sum::<i128>::new(zero_if_none, false), &fields),
            Native::Bytes => self.refuse_type(),
        }
    }

    fn avg(&self) -> Created {
        let argument = self.argument()?;
        let native = Native::of(argument);
        let sum = match argument {
            DataType::Decimal128(_, scale) => SqlType::Decimal { precision: 38, scale: *scale },
            _ => Self::word(native),
        };
        let fields = [("sum", sum), ("count", SqlType::BigInt)];
        match (native, argument, self.output()) {
            (Native::Int, _, _) => self.fixed(Avg::<i64> { scaling: () }, &fields),
            (Native::Float, _, _) => self.fixed(Avg::<f64> { scaling: () }, &fields),
            (Native::Decimal, DataType::Decimal128(_, from), DataType::Decimal128(_, to)) if to >= from => {
                self.decimal(Avg::<i128> { scaling: u32::from(from.abs_diff(*to)) }, &fields)
            }
            _ => self.refuse_type(),
        }
    }

    fn variance(&self, sample: bool, square_root: bool) -> Created {
        let double = [("squares", SqlType::Double), ("sum", SqlType::Double), ("count", SqlType::BigInt)];
        match (Native::of(self.argument()?), self.output()) {
            (
                Native::Int,
                output @ (DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64),
            ) => {
                let long =
                    [("squares", SqlType::BigInt), ("sum", SqlType::BigInt), ("count", SqlType::BigInt)];
                let bits = 8 * output.primitive_width().unwrap_or(8) as u32;
                self.fixed(IntVariance { sample, square_root, bits }, &long)
            }
            (Native::Int | Native::Float | Native::Decimal, DataType::Float64 | DataType::Float32) => {
                self.fixed(Variance { sample, square_root }, &double)
            }
            (Native::Decimal, DataType::Decimal128(_, output)) => {
                let DataType::Decimal128(precision, scale) = *self.argument()? else {
                    return self.refuse_type();
                };
                let kernel = DecimalVariance::new(sample, square_root, precision, scale, *output);
                let decimal = |scale| SqlType::Decimal { precision: 38, scale };
                let squares = decimal(kernel.scale_of_squares());
                let fields = [("squares", squares), ("sum", decimal(scale)), ("count", SqlType::BigInt)];
                self.fixed(kernel, &fields)
            }
            _ => self.refuse("is not supported for this type: cast the argument to DOUBLE"),
        }
    }

    fn bits<const OP: u8>(&self) -> Created {
        if self.retracts {
            return self.refuse("cannot take rows back, and its input carries updates or deletions");
        }
        match Native::of(self.argument()?) {
            Native::Int => Ok(Box::new(Fixed::new(Bits::<OP>, self.value_field()?, self.output()))),
            _ => self.refuse_type(),
        }
    }

    /// One of the values as it is.
    fn one<const KEEP: u8>(&self, rule: &'static str) -> Created {
        let argument = self.argument()?;
        let native = Native::of(argument);
        let fields = self.value_field()?;
        let output = self.output();
        Ok(match native {
            Native::Int => Box::new(Fixed::new(One::<i64, KEEP>::new(), fields, output).with_rule(rule)),
            Native::Float => Box::new(Fixed::new(One::<f64, KEEP>::new(), fields, output).with_rule(rule)),
            Native::Decimal => Box::new(Fixed::new(One::<i128, KEEP>::new(), fields, output).with_rule(rule)),
            Native::Bytes => {
                let codec = ValueCodec::new(argument)?;
                let form = ResultForm::Value(codec.clone());
                return self.bytes(OneOfBytes::<KEEP>, fields, vec![codec], form, rule);
            }
        })
    }

    /// All values that were seen, in the accumulator's own encoding.
    fn encoded(&self) -> Vec<SqlField> {
        self.fields(&[("values", SqlType::BYTES)])
    }

    fn bytes<K: BytesKernel + 'static>(
        &self,
        kernel: K,
        fields: Vec<SqlField>,
        arguments: Vec<ValueCodec>,
        form: ResultForm,
        rule: &'static str,
    ) -> Created {
        let ignores_nulls = !matches!(
            self.call.function,
            AggregateFunction::ArrayAgg
                | AggregateFunction::Lag { .. }
                | AggregateFunction::NthValue { .. }
                | AggregateFunction::JsonArrayAgg { absent_on_null: false }
                | AggregateFunction::JsonObjectAgg { absent_on_null: false }
        );
        Ok(Box::new(Bytes { kernel, fields, arguments, form, ignores_nulls, rule }))
    }

    fn extreme<const KEEP: u8, const FORM: u8>(&self) -> Created {
        if !self.retracts {
            return self.one::<KEEP>("");
        }
        let argument = self.argument()?;
        // Fixed widths are found by bisection; the key codec's encoding of them is ordered as they are.
        let width = match KeyEncoder::new(std::slice::from_ref(argument))
            .map_err(|error| OperatorError::Unsupported(error.to_string()))?
            .shape()
        {
            KeyShape::Word { width, .. } => Some(usize::from(width) + 1),
            KeyShape::Fixed2 { width } | KeyShape::Fixed3 { width } => Some(usize::from(width)),
            KeyShape::Bytes => None,
        };
        let codec = ValueCodec::new(argument)?;
        let form = ResultForm::Value(codec.clone());
        match width {
            Some(width) => self.bytes(FixedExtreme::<KEEP> { width }, self.encoded(), vec![codec], form, ""),
            None => self.bytes(Multiset::<FORM>, self.encoded(), vec![codec], form, ""),
        }
    }

    fn listed<const FORM: u8>(&self) -> Created {
        let codecs =
            self.types.iter().map(|data_type| ValueCodec::new(data_type)).collect::<Result<Vec<_>, _>>()?;
        self.argument()?;
        let first = codecs[0].clone();
        let form = match FORM {
            ARRAY => ResultForm::Array(first, inner_field(self.output())?),
            _ => ResultForm::Value(first),
        };
        self.bytes(Listed::<FORM>, self.encoded(), codecs, form, "")
    }

    fn rank<const DENSE: bool>(&self) -> Created {
        let fields = [("rows", SqlType::BigInt), ("", SqlType::BigInt), ("last", SqlType::BigInt)];
        self.fixed(RankOf::<DENSE>, &fields)
    }

    fn lag(&self, rows: u32) -> Created {
        let codec = ValueCodec::new(self.argument()?)?;
        let codecs = vec![codec.clone(); self.types.len()];
        let fields = self.fields(&[("values", SqlType::BYTES), ("rows", SqlType::BigInt)]);
        self.bytes(Lag { rows: rows as usize }, fields, codecs, ResultForm::Value(codec), "")
    }

    fn nth(&self, n: u32) -> Created {
        let codec = ValueCodec::new(self.argument()?)?;
        let fields = self.fields(&[("value", SqlType::BYTES), ("rows", SqlType::BigInt)]);
        let kernel = Nth { n: u64::from(n), keeps_all: self.retracts };
        self.bytes(kernel, fields, vec![codec.clone()], ResultForm::Value(codec), "")
    }

    fn concatenated(&self) -> Created {
        if self.types.iter().any(|data_type| **data_type != DataType::Utf8) {
            return self.refuse("takes STRING arguments: cast to STRING");
        }
        self.argument()?;
        let codec = ValueCodec::new(&DataType::Utf8)?;
        let codecs = vec![codec.clone(); self.types.len()];
        let fields = self.fields(&[("text", SqlType::STRING), ("separator", SqlType::BigInt)]);
        self.bytes(Concatenated, fields, codecs, ResultForm::Value(codec), "")
    }

    fn json_object(&self) -> Created {
        if self.types.len() != 2 || self.types.iter().any(|data_type| **data_type != DataType::Utf8) {
            return self.refuse("takes a key that is STRING, and a value as JSON");
        }
        let codec = ValueCodec::new(&DataType::Utf8)?;
        let fields = self.fields(&[("members", SqlType::BYTES), ("duplicates", SqlType::BigInt)]);
        self.bytes(JsonObject, fields, vec![codec.clone(); 2], ResultForm::Value(codec), DUPLICATE_KEY)
    }

    fn collect(&self) -> Created {
        let codec = ValueCodec::new(self.argument()?)?;
        let form = ResultForm::Multiset(codec.clone(), inner_field(self.output())?);
        self.bytes(Multiset::<WHOLE>, self.encoded(), vec![codec], form, "")
    }
}
