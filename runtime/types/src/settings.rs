//! The settings that SQL can change with `SET 'key' = 'value'`.

/// The settings of one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {}
