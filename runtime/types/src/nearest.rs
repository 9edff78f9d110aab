//! What a name that does not exist was probably meant to be.

/// How alike two names are, 0 to 1: by letters at about the same place (Jaro-Winkler, which misses what is in front), or by
/// edits, of which a third may differ.
fn similarity(left: &str, right: &str) -> f64 {
    let edits = strsim::normalized_damerau_levenshtein(left, right) + 0.2;
    strsim::jaro_winkler(left, right).max(edits)
}

/// From which similarity a name is worth to be proposed.
const SIMILAR: f64 = 0.8;

/// The name most like `wrong`, whatever the case of letters; `None` if none is like it.
pub fn nearest<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let wrong = wrong.to_lowercase();
    names
        .into_iter()
        .map(|name| (similarity(&wrong, &name.to_lowercase()), name))
        .filter(|(similarity, _)| *similarity > SIMILAR)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, name)| name)
}

/// `, did you mean 'x'?`, or nothing.
pub fn did_you_mean<'n>(wrong: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(wrong, names).map_or_else(String::new, |name| format!(", did you mean '{name}'?"))
}
