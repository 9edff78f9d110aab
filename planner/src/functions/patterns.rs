use super::definition::Function;
pub(super) static FUNCTIONS: &[Function] = &[];
