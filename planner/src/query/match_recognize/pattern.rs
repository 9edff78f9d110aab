//! PATTERN and AFTER MATCH: what they say, and what of it is refused.

use crate::PlanError;
use sqlparser::ast::{
    AfterMatchSkip, Ident, MatchRecognizePattern as Pattern, MatchRecognizeSymbol as Symbol,
    RepetitionQuantifier,
};
use sqlparser::tokenizer::Span;
use weir_types::AfterMatch;

/// How many rows a variable takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::query) struct Quantifier {
    pub min: u32,
    pub max: Option<u32>,
    pub greedy: bool,
}

const ONE: Quantifier = Quantifier { min: 1, max: Some(1), greedy: true };

impl Quantifier {
    /// As many as the row count allows, with another quantifier than `?` and `{n}`, which are never greedy.
    fn insists(self) -> bool {
        let question = (self.min, self.max) == (0, Some(1));
        self.greedy && !question && self.max != Some(self.min)
    }

    /// `A{0,3}` may be empty, but Flink does not look upon it as optional behind a greedy variable.
    fn is_optional(self) -> bool {
        self.min == 0 && matches!(self.max, None | Some(1))
    }
}

/// The variables of a pattern in their order.
pub(super) fn variables(pattern: &Pattern) -> Result<Vec<(Ident, Quantifier)>, PlanError> {
    let mut variables: Vec<(Ident, Quantifier)> = vec![];
    collect(pattern, &mut variables)?;
    for (place, (name, quantifier)) in variables.iter().enumerate() {
        if variables[..place].iter().any(|(other, _)| other.value == name.value) {
            let message =
                format!("pattern variable '{name}' comes twice: a variable has one place in a pattern");
            return Err(PlanError::not_supported(message).at(name.span));
        }
        if place > 0 && variables[place - 1].1.insists() && quantifier.is_optional() {
            let message = format!(
                "'{name}' may have no rows and stands behind a greedy variable: make '{}' reluctant, with a ? behind its \
                 quantifier, or let '{name}' have at least one row",
                variables[place - 1].0
            );
            return Err(PlanError::not_supported(message).at(name.span));
        }
    }
    check_ends(&variables)?;
    Ok(variables)
}

fn check_ends(variables: &[(Ident, Quantifier)]) -> Result<(), PlanError> {
    let Some((last, quantifier)) = variables.last() else {
        return Err(PlanError::invalid("PATTERN has no variables"));
    };
    if variables.iter().all(|(_, quantifier)| quantifier.min == 0) {
        let message =
            "this pattern may match no rows at all: at least one variable needs a row, as in A+ or A{1,3}";
        return Err(PlanError::not_supported(message).at(variables[0].0.span));
    }
    if quantifier.insists() {
        let message = format!(
            "a greedy quantifier at the end of a pattern: nothing says when '{last}' has all its rows. Let another variable \
             follow it, or make it reluctant with a ? behind the quantifier"
        );
        return Err(PlanError::not_supported(message).at(last.span));
    }
    Ok(())
}

fn collect(pattern: &Pattern, variables: &mut Vec<(Ident, Quantifier)>) -> Result<(), PlanError> {
    let refused = |what: &str| Err(PlanError::not_supported(what).at(place(pattern)));
    match pattern {
        Pattern::Symbol(Symbol::Named(name)) => variables.push((name.clone(), ONE)),
        Pattern::Symbol(Symbol::Start | Symbol::End) => {
            return refused(
                "^ and $ in PATTERN: a stream has no last row, and partitions have no first one to wait for",
            );
        }
        Pattern::Concat(parts) => parts.iter().try_for_each(|part| collect(part, variables))?,
        Pattern::Repetition(inner, quantifier) => {
            let (base, quantifier) = quantified(inner, quantifier)?;
            match base {
                Pattern::Symbol(Symbol::Named(name)) => variables.push((name.clone(), quantifier)),
                _ => return refused("quantifiers of groups in PATTERN, only those of variables are"),
            }
        }
        // Parentheses without a quantifier mean nothing.
        Pattern::Group(inner) => collect(inner, variables)?,
        Pattern::Alternation(_) => return refused("alternatives in PATTERN: A | B"),
        Pattern::Permute(_) => return refused("PERMUTE in PATTERN"),
        Pattern::Exclude(_) => return refused("exclusions in PATTERN: {- A -}"),
    }
    Ok(())
}

/// Where the first variable of a pattern stands.
fn place(pattern: &Pattern) -> Span {
    let of = |symbol: &Symbol| match symbol {
        Symbol::Named(name) => name.span,
        Symbol::Start | Symbol::End => Span::empty(),
    };
    match pattern {
        Pattern::Symbol(symbol) | Pattern::Exclude(symbol) => of(symbol),
        Pattern::Permute(symbols) => symbols.first().map_or(Span::empty(), of),
        Pattern::Concat(parts) | Pattern::Alternation(parts) => parts.first().map_or(Span::empty(), place),
        Pattern::Group(inner) | Pattern::Repetition(inner, _) => place(inner),
    }
}

/// A quantifier, with the `?` behind it that makes it reluctant.
fn quantified<'a>(
    inner: &'a Pattern,
    outer: &RepetitionQuantifier,
) -> Result<(&'a Pattern, Quantifier), PlanError> {
    let (base, quantifier, reluctant) = match inner {
        Pattern::Repetition(base, quantifier) if *outer == RepetitionQuantifier::AtMostOne => {
            (base.as_ref(), quantifier, true)
        }
        inner => (inner, outer, false),
    };
    let mut base = base;
    // A variable in parentheses is the variable.
    while let Pattern::Group(grouped) = base {
        base = grouped;
    }
    let at = |error: PlanError| error.at(place(inner));
    if let Pattern::Repetition(..) = base {
        return Err(at(PlanError::invalid("a variable of a pattern has one quantifier")));
    }
    let (min, max) = match *quantifier {
        RepetitionQuantifier::ZeroOrMore => (0, None),
        RepetitionQuantifier::OneOrMore => (1, None),
        RepetitionQuantifier::AtMostOne => (0, Some(1)),
        RepetitionQuantifier::Exactly(rows) => (rows, Some(rows)),
        RepetitionQuantifier::AtLeast(rows) => (rows, None),
        RepetitionQuantifier::AtMost(rows) => {
            let message = format!("quantifier {{,{rows}}}: write {{0,{rows}}}");
            return Err(at(PlanError::not_supported(message)));
        }
        RepetitionQuantifier::Range(from, to) => (from, Some(to)),
    };
    if max.is_some_and(|max| max < min.max(1)) {
        let message = format!(
            "quantifier {quantifier} lets no rows in: its last number is at least 1 and the first one"
        );
        return Err(at(PlanError::invalid(message)));
    }
    if reluctant && (min, max) == (0, Some(1)) {
        let message = format!("reluctant optional variables: {base}?? and {base}{{0,1}}?");
        return Err(at(PlanError::not_supported(message)));
    }
    Ok((base, Quantifier { min, max, greedy: !reluctant }))
}

/// Where the next match begins; `None` is Flink's default, which differs from the SQL standard's.
pub(super) fn after_match(
    after: Option<&AfterMatchSkip>,
    variables: &[(Ident, Quantifier)],
) -> Result<AfterMatch, PlanError> {
    let find = |name: &Ident| {
        let names = variables.iter().map(|(variable, _)| variable.value.as_str());
        variables.iter().position(|(variable, _)| variable.value == name.value).ok_or_else(|| {
            let nearest = weir_types::did_you_mean(&name.value, names);
            let message = format!("AFTER MATCH SKIP TO '{name}', which PATTERN does not have{nearest}");
            PlanError::invalid(message).at(name.span)
        })
    };
    Ok(match after {
        None | Some(AfterMatchSkip::ToNextRow) => AfterMatch::SkipToNextRow,
        Some(AfterMatchSkip::PastLastRow) => AfterMatch::SkipPastLastRow,
        Some(AfterMatchSkip::ToFirst(name)) => AfterMatch::SkipToFirst(find(name)?),
        Some(AfterMatchSkip::ToLast(name)) => AfterMatch::SkipToLast(find(name)?),
    })
}
