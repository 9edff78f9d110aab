//! How results look.

mod live;
mod results;
mod tableau;

pub use live::LiveTable;
pub use results::{ResultMode, ResultPrinter, print_table};
pub use tableau::Tableau;
