//! What the state of aggregates is called: people read these names, and they are persisted.

use arrow::datatypes::Schema;
use weir_types::{AggregateCall, column_text};

/// How many rows a group has, where they may be taken back.
pub(crate) const ROWS_FIELD: &str = "rows";

/// The call as SQL has it, over an input of `schema`: `COUNT(DISTINCT bidder) FILTER (WHERE price > 100)`.
pub(crate) fn call_text(call: &AggregateCall, schema: &Schema) -> String {
    let text = |column: &usize| column_text(schema.field(*column));
    let arguments: Vec<&str> = call.arguments.iter().map(text).collect();
    let arguments = if arguments.is_empty() { "*".to_string() } else { arguments.join(", ") };
    let distinct = if call.distinct { "DISTINCT " } else { "" };
    let filter = call.filter.map_or_else(String::new, |column| format!(" FILTER (WHERE {})", text(&column)));
    format!("{}({distinct}{arguments}){filter}", call.function.name())
}

/// `name`, or with the first number behind it that makes it unlike all of `taken`: `SUM(a)#2`.
pub(crate) fn unlike<'a>(name: String, taken: impl Iterator<Item = &'a str> + Clone) -> String {
    let mut unique = name.clone();
    let mut number = 2;
    while taken.clone().any(|taken| taken == unique) {
        unique = format!("{name}#{number}");
        number += 1;
    }
    unique
}

/// `names`, numbered where one has come before.
pub(crate) fn unlike_each_other(names: impl Iterator<Item = String>) -> Vec<String> {
    names.fold(Vec::new(), |mut taken, name| {
        let unique = unlike(name, taken.iter().map(String::as_str));
        taken.push(unique);
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::call;
    use arrow::datatypes::{DataType, Field};
    use weir_types::{AggregateFunction, SqlType, mark_expression};

    #[test]
    fn calls_read_like_sql() {
        let schema = Schema::new(vec![
            Field::new("price", DataType::Int64, true),
            mark_expression(Some("price > 100"), &Field::new("$f1", DataType::Boolean, true)),
        ]);
        let mut count = call(AggregateFunction::Count, &[], SqlType::BigInt);
        assert_eq!(call_text(&count, &schema), "COUNT(*)");
        count.arguments = vec![0];
        count.distinct = true;
        count.filter = Some(1);
        assert_eq!(call_text(&count, &schema), "COUNT(DISTINCT price) FILTER (WHERE price > 100)");
    }

    #[test]
    fn names_are_numbered_where_they_repeat() {
        let names = ["a", "b", "a", "a"].into_iter().map(String::from);
        assert_eq!(unlike_each_other(names), ["a", "b", "a#2", "a#3"]);
    }
}
