//! How results look.

mod results;
mod tableau;

pub use results::{ResultMode, ResultPrinter, print_table};
pub use tableau::Tableau;
