//! Where windows lie on the time axis: slices, zones, and the windows that a row belongs to.

mod slices;
mod zone;

pub(crate) use slices::{Slices, WindowEnds};
pub(crate) use zone::Zone;
