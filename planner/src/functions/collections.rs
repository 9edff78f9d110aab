use super::definition::Function;
pub(super) static FUNCTIONS: &[Function] = &[];
pub(super) static SET_FUNCTIONS: &[Function] = &[];
