use super::definition::Function;
pub(super) static FUNCTIONS: &[Function] = &[];
pub(super) static FORMAT_FUNCTIONS: &[Function] = &[];
