//! What a NOT NULL column of a sink demands of each row.

use arrow::array::Array;
use arrow::datatypes::{DataType, FieldRef};
use datafusion_common::{Result, exec_err, not_impl_err};
use datafusion_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

pub(super) const NOT_NULL: &str = "$NOT_NULL";

/// Hands its argument on, and fails on NULL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct NotNull {
    table: String,
    column: String,
    signature: Signature,
}

/// `expr`, which must not be NULL when it is written to `column` of `table`.
pub(super) fn enforce_not_null(expr: Expr, table: &str, column: &str) -> Expr {
    // Volatile: a failure is an effect, so it is neither folded away nor moved.
    let signature = Signature::user_defined(Volatility::Volatile);
    let udf = NotNull { table: table.to_string(), column: column.to_string(), signature };
    ScalarUDF::new_from_impl(udf).call(vec![expr])
}

impl ScalarUDFImpl for NotNull {
    fn name(&self) -> &str {
        NOT_NULL
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        Ok(arg_types.to_vec())
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        not_impl_err!("$NOT_NULL is typed by its argument")
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(args.arg_fields[0].as_ref().clone().with_nullable(false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let has_null = match &args.args[0] {
            ColumnarValue::Array(array) => array.logical_null_count() > 0,
            ColumnarValue::Scalar(value) => value.is_null() && args.number_rows > 0,
        };
        if has_null {
            return exec_err!(
                "cannot write NULL to column '{}' of table '{}', which is NOT NULL: filter such rows, or replace \
                 NULL by COALESCE",
                self.column,
                self.table
            );
        }
        Ok(args.args[0].clone())
    }
}
