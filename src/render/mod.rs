//! How results look.

mod checkpoint;
mod durations;
mod entry;
mod jobs;
mod live;
mod results;
mod state;
mod tableau;
mod text;

pub use checkpoint::{bytes, checkpoint_report, millis, timestamp};
pub use durations::checkpoint_details;
pub use jobs::{CHECKPOINT_COLUMNS, JOB_COLUMNS, checkpoint_counts, checkpoint_row, job_row};
pub use live::LiveTable;
pub use results::{ResultMode, ResultPrinter, print_table};
pub use state::job_state;
pub use tableau::Tableau;
pub use text::cut;
