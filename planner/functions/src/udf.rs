//! A function as DataFusion sees it.

use super::arguments::{Cache, Input, Inputs};
use super::coercion::literal_value;
use super::context::FunctionContext;
use super::definition::{Call, Function, Typed};
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, ScalarValue, internal_err, plan_err};
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use weir_types::SqlType;

/// Bytes of a call's name that are kept as they are.
const LONGEST_NAME: usize = 400;

/// A function by name, or one call of it whose types are fixed.
#[derive(Debug)]
pub(super) struct FlinkFunction {
    pub function: &'static Function,
    pub context: FunctionContext,
    pub bound: Option<Bound>,
    signature: Signature,
}

/// The types of a bound call, and what it has compiled.
#[derive(Debug)]
pub(super) struct Bound {
    pub typed: Typed,
    data_types: Vec<DataType>,
    pub field: FieldRef,
    cache: Cache,
}

impl FlinkFunction {
    pub fn unbound(function: &'static Function, context: FunctionContext) -> ScalarUDF {
        let signature = Signature::user_defined(function.volatility);
        ScalarUDF::new_from_impl(FlinkFunction { function, context, bound: None, signature })
    }

    pub fn bind(&self, typed: Typed) -> Arc<ScalarUDF> {
        // UNIX_TIMESTAMP() reads the clock, UNIX_TIMESTAMP(text) does not.
        let timeless = self.function.name == "UNIX_TIMESTAMP" && !typed.arguments.is_empty();
        let signature =
            if timeless { Signature::user_defined(Volatility::Immutable) } else { self.signature.clone() };
        let bound = Bound {
            data_types: typed.arguments.iter().map(SqlType::data_type).collect(),
            field: Arc::new(typed.result.to_field(self.function.name, typed.nullable)),
            typed,
            cache: Cache::default(),
        };
        Arc::new(ScalarUDF::new_from_impl(FlinkFunction {
            function: self.function,
            context: self.context.clone(),
            bound: Some(bound),
            signature,
        }))
    }

    /// The function behind a DataFusion UDF, if it is one of ours.
    pub fn of(udf: &ScalarUDF) -> Option<&FlinkFunction> {
        (udf.inner().as_ref() as &dyn std::any::Any).downcast_ref()
    }

    /// Types of a call by the fields of its arguments.
    pub fn type_call(&self, fields: &[FieldRef], literals: &[Option<&ScalarValue>]) -> Result<Typed> {
        let mut types = Vec::with_capacity(fields.len());
        let mut values = Vec::with_capacity(fields.len());
        for (field, literal) in fields.iter().zip(literals) {
            let literal = literal.map(|value| literal_value(value).unwrap_or_else(|| value.clone()));
            let sql_type = match &literal {
                // A literal has the length that it is written with.
                Some(ScalarValue::Utf8(Some(text))) => Some(SqlType::Char(text.chars().count() as u32)),
                Some(ScalarValue::Binary(Some(bytes))) => Some(SqlType::Binary(bytes.len() as u32)),
                Some(value) if value.data_type() != *field.data_type() => {
                    SqlType::of_data_type(&value.data_type())
                }
                _ => SqlType::of_field(field),
            };
            let Some(sql_type) = sql_type else {
                return plan_err!(
                    "cannot call {}: {} is not a SQL type",
                    self.function.name,
                    field.data_type()
                );
            };
            types.push(sql_type);
            values.push(literal);
        }
        let nullable: Vec<_> = fields.iter().map(|field| field.is_nullable()).collect();
        let Function { name, summary, .. } = *self.function;
        let call = Call { name, summary, types: &types, nullable: &nullable, literals: &values };
        self.function.typing.resolve(&call)
    }
}

/// Two calls are equal if the function and the types are: arguments are compared by DataFusion.
impl PartialEq for FlinkFunction {
    fn eq(&self, other: &Self) -> bool {
        let types = |function: &FlinkFunction| function.bound.as_ref().map(|bound| bound.typed.clone());
        std::ptr::eq(self.function, other.function) && types(self) == types(other)
    }
}

impl Eq for FlinkFunction {}

impl Hash for FlinkFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for FlinkFunction {
    fn name(&self) -> &str {
        self.function.name
    }

    /// The name of a column that holds the call. DataFusion asks for it at every level of nesting in each of its passes, so
    /// what is long is cut: names of nested calls would take time with the third power of their depth.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let args: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        let name = format!("{}({})", self.function.name, args.join(","));
        if name.len() <= LONGEST_NAME {
            return Ok(name);
        }
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Ok(format!("{}(..{:016x})", self.function.name, hasher.finish()))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(types.to_vec())
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        internal_err!("{}: return_field_from_args is to be called", self.function.name)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        if let Some(bound) = &self.bound {
            return Ok(bound.field.clone());
        }
        let typed = self.type_call(args.arg_fields, args.scalar_arguments)?;
        Ok(Arc::new(typed.result.to_field(self.function.name, typed.nullable)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(bound) = &self.bound else {
            return internal_err!("{} is called before it was bound", self.function.name);
        };
        let mut columns = Vec::with_capacity(args.args.len());
        for (value, data_type) in args.args.into_iter().zip(&bound.data_types) {
            let (array, constant) = match value {
                ColumnarValue::Array(array) => (array, false),
                ColumnarValue::Scalar(value) => (value.to_array()?, true),
            };
            let array = match array.data_type() == data_type || array.data_type().equals_datatype(data_type) {
                true => array,
                false => arrow::compute::cast(&array, data_type)?,
            };
            columns.push(Input { array, constant });
        }
        let folds = !columns.is_empty()
            && columns.iter().all(|column| column.constant)
            && self.function.volatility != Volatility::Volatile;
        let rows = if folds { 1 } else { args.number_rows };
        let inputs = Inputs {
            columns: &columns,
            rows,
            types: &bound.typed.arguments,
            result: &bound.typed.result,
            context: &self.context,
            cache: &bound.cache,
        };
        let array = (self.function.kernel)(&inputs)?;
        match folds {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?)),
            false => Ok(ColumnarValue::Array(array)),
        }
    }
}

impl FlinkFunction {
    /// True if this call may fail on some values: it must not run where SQL would not run it. `second` is the value of its
    /// second argument if that is a literal; `reads_columns` says whether it is more than a constant.
    pub fn may_fail(&self, second: Option<&ScalarValue>, reads_columns: impl Fn() -> bool) -> bool {
        let Some(bound) = &self.bound else { return self.function.fallible };
        if !self.function.fallible {
            return false;
        }
        match self.function.name {
            "/" | "%" | "MOD" => {
                let divides_by_literal = second.is_some_and(|value| {
                    !value.is_null()
                        && ScalarValue::new_zero(&value.data_type()).is_ok_and(|zero| zero != *value)
                });
                // A quotient of approximate numbers fails only if it is constant.
                let exact = !matches!(bound.typed.result, SqlType::Double | SqlType::Float);
                !divides_by_literal && (exact || !reads_columns())
            }
            "$CAST" => bound.typed.arguments[0].is_string() && !bound.typed.result.is_string(),
            _ => true,
        }
    }
}
