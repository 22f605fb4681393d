//! Which function or operator is meant: PostgreSQL's chapter 10, "Type Conversion".

use chronolith_types::{RangeKind, SqlType};

use super::coerce::accepts;

/// Something that can be called with arguments of these types.
#[derive(Debug, Clone)]
pub(super) struct Candidate<T> {
    pub what: T,
    /// One type per argument of the call.
    pub args: Vec<SqlType>,
}

pub(super) enum Choice<T> {
    None,
    One(Candidate<T>),
    Many,
}

/// The candidate that fits arguments of these types best.
pub(super) fn choose<T: Clone>(candidates: Vec<Candidate<T>>, given: &[SqlType]) -> Choice<T> {
    let given = given
        .iter()
        .map(|ty| ty.plain().without_typmod())
        .collect::<Vec<_>>();
    let given = given.as_slice();
    if let Some(exact) = candidates.iter().find(|candidate| {
        candidate
            .args
            .iter()
            .zip(given)
            .all(|(to, from)| to == from)
    }) {
        return Choice::One(exact.clone());
    }
    let fitting = candidates
        .into_iter()
        .filter(|candidate| {
            candidate
                .args
                .iter()
                .zip(given)
                .all(|(to, from)| accepts(to, from))
                && agree(&candidate.args, given)
        })
        .collect::<Vec<_>>();
    decide(select(fitting, given))
}

/// Whether the arguments in polymorphic places can be brought together:
/// `check_generic_type_consistency`.
fn agree(declared: &[SqlType], given: &[SqlType]) -> bool {
    let Ok(poly) = Poly::of(declared, given) else {
        return false;
    };
    let mut categories = poly.compatible().iter().map(SqlType::category);
    let first = categories.next();
    categories.all(|category| Some(category) == first)
}

/// The operator that fits two operands, an untyped one first taken to be as the other.
pub(super) fn choose_operator<T: Clone>(
    candidates: Vec<Candidate<T>>,
    given: &[SqlType],
) -> Choice<T> {
    if let [left, right] = given {
        let assumed = match (left, right) {
            (SqlType::Unknown, known) | (known, SqlType::Unknown) => known.plain().without_typmod(),
            _ => SqlType::Unknown,
        };
        let array = matches!(assumed, SqlType::Array(_));
        let label = assumed.labels().is_some();
        let range = matches!(assumed, SqlType::Range(_));
        let assumes = |arg: &SqlType| {
            *arg == assumed
                || (array && *arg == SqlType::AnyCompatibleArray)
                || (label && *arg == SqlType::AnyEnum)
                || (range && *arg == SqlType::AnyRange)
        };
        if assumed != SqlType::Unknown
            && let Some(exact) = candidates
                .iter()
                .find(|candidate| candidate.args.iter().all(assumes))
        {
            return Choice::One(exact.clone());
        }
    }
    choose(candidates, given)
}

fn decide<T>(mut left: Vec<Candidate<T>>) -> Choice<T> {
    match (left.pop(), left.is_empty()) {
        (None, _) => Choice::None,
        (Some(one), true) => Choice::One(one),
        (Some(_), false) => Choice::Many,
    }
}

/// `func_select_candidate`: drops what fits worse, step by step.
fn select<T: Clone>(mut left: Vec<Candidate<T>>, given: &[SqlType]) -> Vec<Candidate<T>> {
    if left.len() <= 1 {
        return left;
    }
    // An array-typed or polymorphic slot is less than one of the type itself.
    let exact = |candidate: &Candidate<T>| {
        candidate
            .args
            .iter()
            .zip(given)
            .filter(|(to, from)| **from != SqlType::Unknown && to == from)
            .count()
    };
    keep_best(&mut left, exact);
    if left.len() == 1 {
        return left;
    }
    let preferred = |candidate: &Candidate<T>| {
        candidate
            .args
            .iter()
            .zip(given)
            .filter(|(to, from)| {
                **from != SqlType::Unknown
                    && (to == from || (to.category() == from.category() && to.preferred()))
            })
            .count()
    };
    keep_best(&mut left, preferred);
    if left.len() == 1 || !given.contains(&SqlType::Unknown) {
        return left;
    }
    let mut resolved = true;
    let mut wanted = Vec::new();
    for (at, from) in given.iter().enumerate() {
        if *from != SqlType::Unknown {
            wanted.push(None);
            continue;
        }
        let slots = || left.iter().filter_map(|candidate| candidate.args.get(at));
        let category = if slots().any(|slot| slot.category() == 'S') {
            Some('S')
        } else {
            let first = slots().next().map(SqlType::category);
            first.filter(|category| slots().all(|slot| slot.category() == *category))
        };
        let Some(category) = category else {
            resolved = false;
            break;
        };
        let preferred = slots().any(|slot| slot.category() == category && slot.preferred());
        wanted.push(Some((category, preferred)));
    }
    if resolved {
        let fits = |candidate: &Candidate<T>| {
            candidate
                .args
                .iter()
                .zip(&wanted)
                .all(|(to, want)| match want {
                    None => true,
                    Some((category, preferred)) => {
                        to.category() == *category && (!preferred || to.preferred())
                    }
                })
        };
        let strict = left.iter().filter(|c| fits(c)).cloned().collect::<Vec<_>>();
        if !strict.is_empty() {
            left = strict;
        }
        if left.len() == 1 {
            return left;
        }
    }
    // All typed arguments alike: the untyped ones may be like them.
    let mut known = given.iter().filter(|from| **from != SqlType::Unknown);
    if let Some(first) = known.next()
        && known.all(|other| other == first)
    {
        let alike = left
            .iter()
            .filter(|candidate| candidate.args.iter().all(|to| accepts(to, first)))
            .cloned()
            .collect::<Vec<_>>();
        if alike.len() == 1 {
            return alike;
        }
    }
    left
}

fn keep_best<T>(left: &mut Vec<Candidate<T>>, score: impl Fn(&Candidate<T>) -> usize) {
    let best = left.iter().map(&score).max().unwrap_or(0);
    left.retain(|candidate| score(candidate) == best);
}

/// What the polymorphic types of a declaration stand for in a call.
#[derive(Debug, Default)]
pub(super) struct Poly {
    element: Option<SqlType>,
    compatible: Vec<SqlType>,
}

impl Poly {
    /// Reads a call; `Err` when two arguments disagree.
    pub(super) fn of(declared: &[SqlType], given: &[SqlType]) -> Result<Self, String> {
        let mut poly = Self::default();
        for (to, from) in declared.iter().zip(given) {
            let from = from.plain().without_typmod();
            if from == SqlType::Unknown {
                continue;
            }
            let element = match to {
                SqlType::AnyElement | SqlType::AnyNonArray | SqlType::AnyEnum => Some(from),
                SqlType::AnyArray => from.element().cloned().or(match from {
                    SqlType::Int2Vector => Some(SqlType::Int2),
                    SqlType::OidVector => Some(SqlType::Oid),
                    _ => None,
                }),
                SqlType::AnyRange => match from {
                    SqlType::Range(kind) => Some(kind.element()),
                    _ => None,
                },
                SqlType::AnyCompatible => {
                    poly.compatible.push(from);
                    None
                }
                SqlType::AnyCompatibleArray => {
                    poly.compatible.extend(from.element().cloned());
                    None
                }
                _ => None,
            };
            match (&poly.element, element) {
                (Some(known), Some(found)) if *known != found => {
                    return Err(format!(
                        "arguments declared \"anyelement\" are not all alike: {known} versus {found}"
                    ));
                }
                (None, Some(found)) => poly.element = Some(found),
                _ => {}
            }
        }
        Ok(poly)
    }

    /// The types that ANYCOMPATIBLE has to bring together.
    pub(super) fn compatible(&self) -> &[SqlType] {
        &self.compatible
    }

    /// A declared type with what was found put in; `common` is that of ANYCOMPATIBLE.
    pub(super) fn resolve(&self, declared: &SqlType, common: &SqlType) -> SqlType {
        let element = || self.element.clone().unwrap_or(SqlType::Text);
        match declared {
            SqlType::AnyElement | SqlType::AnyNonArray | SqlType::AnyEnum => element(),
            SqlType::AnyArray => element().array_of(),
            SqlType::AnyRange => {
                RangeKind::over(&element()).map_or(SqlType::AnyRange, SqlType::Range)
            }
            SqlType::AnyCompatible => common.clone(),
            SqlType::AnyCompatibleArray => common.clone().array_of(),
            other => other.clone(),
        }
    }
}
