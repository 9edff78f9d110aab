//! What a function is: its name, how calls are typed, and its kernel.

use super::arguments::Inputs;
use super::coercion::is_implicitly_castable;
use arrow::array::ArrayRef;
use datafusion_common::{Result, ScalarValue, plan_err};
use datafusion_expr::Volatility;
use weir_types::SqlType;

/// One scalar function.
#[derive(Debug)]
pub struct Function {
    /// As users write it, in capitals. Functions that only the planner calls start with `$`.
    pub name: &'static str,
    pub(crate) typing: Typing,
    pub(crate) kernel: Kernel,
    pub(crate) volatility: Volatility,
    /// True if a call may fail on some values: it must not be evaluated where SQL would not.
    pub(crate) fallible: bool,
    /// one line for the documentation, and for whoever calls it wrongly
    pub summary: &'static str,
}

pub(super) type Kernel = fn(&Inputs<'_>) -> Result<ArrayRef>;

impl Function {
    pub(crate) const fn new(
        name: &'static str,
        typing: Typing,
        kernel: Kernel,
        summary: &'static str,
    ) -> Self {
        Function { name, typing, kernel, volatility: Volatility::Immutable, fallible: false, summary }
    }

    pub(crate) const fn volatile(mut self) -> Self {
        self.volatility = Volatility::Volatile;
        self
    }

    pub(crate) const fn fallible(mut self) -> Self {
        self.fallible = true;
        self
    }
}

/// A call as it is typed.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub name: &'static str,
    /// of the function
    pub summary: &'static str,
    pub types: &'a [SqlType],
    pub nullable: &'a [bool],
    /// the value of an argument that is a literal
    pub literals: &'a [Option<ScalarValue>],
}

/// The outcome of typing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Typed {
    /// what the arguments are cast to
    pub arguments: Vec<SqlType>,
    pub result: SqlType,
    pub nullable: bool,
}

/// How calls of a function are typed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Typing {
    /// The first signature that the arguments fit.
    Signatures(&'static [Signature]),
    Custom(fn(&Call<'_>) -> Result<Typed>),
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub parameters: &'static [Parameter],
    /// the last parameter may come any number of times, at least once
    pub variadic: bool,
    pub result: Returns,
    pub nulls: Nulls,
}

/// What an argument must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Parameter {
    Text,
    Bytes,
    Int,
    BigInt,
    Double,
    Array,
    Map,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Returns {
    Text,
    Bytes,
    Int,
    BigInt,
    Double,
    Boolean,
    Date,
    Time,
    Timestamp(u8),
    TimestampLtz(u8),
    TextArray,
    TextMap,
    /// the type of an argument
    Argument(usize),
}

/// When a call may be NULL.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Nulls {
    /// if an argument is
    Strict,
    Always,
    Never,
}

impl Parameter {
    /// What `argument` is cast to; `None` if it does not fit.
    fn accept(self, argument: &SqlType) -> Option<SqlType> {
        let exactly = |target: SqlType| is_implicitly_castable(argument, &target).then_some(target);
        let kept = |fits: bool| fits.then(|| argument.clone());
        let null = *argument == SqlType::Null;
        match self {
            Parameter::Text if argument.is_string() => Some(argument.clone()),
            Parameter::Text => null.then_some(SqlType::STRING),
            Parameter::Bytes if null => Some(SqlType::BYTES),
            Parameter::Bytes => kept(matches!(argument, SqlType::Binary(_) | SqlType::Varbinary(_))),
            Parameter::Int => exactly(SqlType::Int),
            Parameter::BigInt => exactly(SqlType::BigInt),
            Parameter::Double => exactly(SqlType::Double),
            Parameter::Array => kept(null || matches!(argument, SqlType::Array(_))),
            Parameter::Map => kept(null || matches!(argument, SqlType::Map(..) | SqlType::Multiset(_))),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Parameter::Text => "STRING",
            Parameter::Bytes => "BYTES",
            Parameter::Int => "INT",
            Parameter::BigInt => "BIGINT",
            Parameter::Double => "DOUBLE",
            Parameter::Array => "ARRAY",
            Parameter::Map => "MAP",
        }
    }
}

impl Signature {
    fn accept(&self, call: &Call<'_>) -> Option<Vec<SqlType>> {
        let fits = match self.variadic {
            true => call.types.len() >= self.parameters.len(),
            false => call.types.len() == self.parameters.len(),
        };
        if !fits {
            return None;
        }
        let last = self.parameters.len().saturating_sub(1);
        call.types.iter().enumerate().map(|(i, t)| self.parameters[i.min(last)].accept(t)).collect()
    }

    fn describe(&self, name: &str) -> String {
        let parameters: Vec<_> = self.parameters.iter().map(|parameter| parameter.name()).collect();
        format!("{name}({}{})", parameters.join(", "), if self.variadic { ", .." } else { "" })
    }
}

impl Returns {
    fn resolve(self, arguments: &[SqlType]) -> SqlType {
        let field = |nullable| Box::new(weir_types::SqlField::new("item", SqlType::STRING, nullable));
        match self {
            Returns::Text => SqlType::STRING,
            Returns::Bytes => SqlType::BYTES,
            Returns::Int => SqlType::Int,
            Returns::BigInt => SqlType::BigInt,
            Returns::Double => SqlType::Double,
            Returns::Boolean => SqlType::Boolean,
            Returns::Date => SqlType::Date,
            Returns::Time => SqlType::Time(0),
            Returns::Timestamp(precision) => SqlType::Timestamp(precision),
            Returns::TimestampLtz(precision) => SqlType::TimestampLtz(precision),
            Returns::TextArray => SqlType::Array(field(true)),
            Returns::TextMap => SqlType::Map(field(false), field(true)),
            Returns::Argument(index) => arguments[index].clone(),
        }
    }
}

impl Nulls {
    pub fn of(self, call: &Call<'_>) -> bool {
        match self {
            Nulls::Strict => call.nullable.iter().any(|nullable| *nullable),
            Nulls::Always => true,
            Nulls::Never => false,
        }
    }
}

impl Typing {
    pub fn resolve(&self, call: &Call<'_>) -> Result<Typed> {
        let signatures = match self {
            Typing::Custom(typing) => return typing(call),
            Typing::Signatures(signatures) => *signatures,
        };
        for signature in signatures {
            if let Some(arguments) = signature.accept(call) {
                let result = signature.result.resolve(&arguments);
                return Ok(Typed { arguments, result, nullable: signature.nulls.of(call) });
            }
        }
        let known: Vec<_> = signatures.iter().map(|signature| signature.describe(call.name)).collect();
        call.refuse(&known.join(" or "))
    }
}

impl Call<'_> {
    /// The error for arguments that do not fit.
    pub fn refuse<T>(&self, expected: &str) -> Result<T> {
        let types: Vec<_> = self.types.iter().map(ToString::to_string).collect();
        let name = self.name.trim_start_matches('$');
        let (types, expected) = (types.join(", "), expected.replace('$', ""));
        plan_err!("cannot apply {name} to ({types}): expected {expected} ({})", self.summary)
    }

    /// A literal integer among the arguments.
    pub fn literal_int(&self, index: usize) -> Option<i64> {
        match self.literals.get(index)?.as_ref()? {
            ScalarValue::Int64(value) => *value,
            ScalarValue::Int32(value) => value.map(i64::from),
            ScalarValue::Int16(value) => value.map(i64::from),
            ScalarValue::Int8(value) => value.map(i64::from),
            _ => None,
        }
    }

    pub fn literal_text(&self, index: usize) -> Option<&str> {
        match self.literals.get(index)?.as_ref()? {
            ScalarValue::Utf8(value) | ScalarValue::Utf8View(value) | ScalarValue::LargeUtf8(value) => {
                value.as_deref()
            }
            _ => None,
        }
    }

    pub fn any_nullable(&self) -> bool {
        Nulls::Strict.of(self)
    }
}

/// `Signature`s in tables: `call(&[Text, Int], Returns::Text)`.
pub(super) const fn call(parameters: &'static [Parameter], result: Returns) -> Signature {
    Signature { parameters, variadic: false, result, nulls: Nulls::Strict }
}

impl Signature {
    /// May be NULL whatever the arguments are.
    pub const fn nullable(mut self) -> Self {
        self.nulls = Nulls::Always;
        self
    }

    pub const fn never_null(mut self) -> Self {
        self.nulls = Nulls::Never;
        self
    }

    pub const fn variadic(mut self) -> Self {
        self.variadic = true;
        self
    }
}
