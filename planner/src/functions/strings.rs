use super::definition::Function;
pub(super) static FUNCTIONS: &[Function] = &[];
pub(super) static SPLIT_FUNCTIONS: &[Function] = &[];
pub(super) static CODE_FUNCTIONS: &[Function] = &[];
