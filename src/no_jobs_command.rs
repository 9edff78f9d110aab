//! `weir jobs` and its like where there are no Unix sockets: other processes cannot be asked.

use crate::arguments::{JobArgument, JobsArguments, SavepointArguments, StopArguments};
use crate::failure::Failure;

fn refuse() -> Result<(), Failure> {
    Err(Failure::User(
        "jobs of other processes are reached through Unix sockets, which this platform does not have: use the \
         statements CREATE SAVEPOINT and STOP JOB where the job runs"
            .to_string(),
    ))
}

pub fn jobs(_: &JobsArguments) -> Result<(), Failure> {
    refuse()
}

pub fn create_savepoint(_: &SavepointArguments) -> Result<(), Failure> {
    refuse()
}

pub fn stop(_: &StopArguments) -> Result<(), Failure> {
    refuse()
}

pub fn cancel(_: &JobArgument) -> Result<(), Failure> {
    refuse()
}

pub fn trigger_checkpoint(_: &JobArgument) -> Result<(), Failure> {
    refuse()
}
