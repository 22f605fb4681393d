//! Which function a call means: candidates by name, the best of them by types, its arguments cast.

use chronolith_types::{SqlState, SqlType};

use super::call::{Arg, Resolved};
use super::literal::null;
use super::resolve::{Candidate, Choice, Poly, choose};
use super::state::{Binder, Result, unsupported};
use crate::error::Error;
use crate::functions::{CastContext, Proc, ProcKind, Typed, procs};

impl Binder<'_> {
    /// Which function of a name a call means.
    pub(super) fn resolve(
        &mut self,
        name: &str,
        args: Vec<Arg>,
        at: Option<u32>,
    ) -> Result<Resolved> {
        let mut args = args;
        if matches!(
            name,
            "concat" | "concat_ws" | "format" | "quote_literal" | "quote_nullable"
        ) {
            // Functions of any values' texts know no fields.
            for arg in &mut args {
                arg.value = self.told_row(arg.value.clone()).map_err(|e| e.at(at))?;
            }
        }
        let variadic = args.last().is_some_and(|arg| arg.variadic);
        let names = args.iter().map(|arg| arg.name.clone()).collect::<Vec<_>>();
        let given = args
            .iter()
            .map(|arg| arg.value.ty.without_typmod())
            .collect::<Vec<_>>();
        let mut candidates = Vec::new();
        for proc in procs(name) {
            candidates.extend(candidate(proc, &names, variadic));
        }
        let named = names.iter().any(Option::is_some);
        let values = args.into_iter().map(|arg| arg.value).collect::<Vec<_>>();
        // `pg_lsn('0/0')` is a literal of the type, also where a function has its name.
        if given == [SqlType::Unknown]
            && !named
            && SqlType::parse_name(name).is_some_and(|ty| !ty.is_pseudo())
        {
            return self.no_function(name, values, at);
        }
        let found = match choose(candidates, &given) {
            Choice::One(found) => found,
            Choice::Many => {
                return Err(Error::new(
                    SqlState::AMBIGUOUS_FUNCTION,
                    format!("function {} is not unique", signature(name, &values)),
                )
                .hint(
                    "Could not choose a best candidate function. \
                     You might need to add explicit type casts.",
                )
                .at(at));
            }
            Choice::None => return self.no_function(name, values, at),
        };
        self.cast_arguments(found, values, at)
    }

    pub(super) fn cast_arguments(
        &mut self,
        found: Candidate<(&'static Proc, Vec<usize>)>,
        values: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Resolved> {
        let (proc, order) = found.what;
        let given = values
            .iter()
            .map(|value| value.ty.clone())
            .collect::<Vec<_>>();
        let poly = Poly::of(&found.args, &given)
            .map_err(|message| Error::new(SqlState::DATATYPE_MISMATCH, message).at(at))?;
        let mut common = self
            .common(poly.compatible(), "ARRAY")
            .map_err(|error| error.at(at))?;
        // Values of different types keep no modifier.
        if poly.compatible().iter().any(|ty| *ty != common) {
            common = common.without_typmod();
        }
        let mut slots: Vec<Option<Typed>> = Vec::new();
        for ((value, to), slot) in values.into_iter().zip(&found.args).zip(&order) {
            let to = match to {
                // Takes whatever comes, in its own type.
                SqlType::Any | SqlType::Cstring => value.ty.clone(),
                // The vectors of the catalogs are arrays that count from 0.
                SqlType::AnyArray
                    if matches!(value.ty, SqlType::Int2Vector | SqlType::OidVector) =>
                {
                    value.ty.clone()
                }
                to => poly.resolve(to, &common),
            };
            let value = if value.ty != SqlType::Unknown && value.ty.without_typmod() == to {
                value
            } else {
                self.coerce(value, &to, CastContext::Implicit)
                    .map_err(|error| error.at(at))?
            };
            if slots.len() <= *slot {
                slots.resize_with(slot + 1, || None);
            }
            if let Some(place) = slots.get_mut(*slot) {
                *place = Some(value);
            }
        }
        // Defaults between named arguments are nulls, which functions of ours take as "not given",
        // but for the strict ones.
        let args = slots
            .into_iter()
            .zip(proc.args.iter().map(Some).chain(std::iter::repeat(None)))
            .enumerate()
            .map(
                |(slot, (value, declared))| match (value, proc.default_of(slot)) {
                    (Some(value), _) => Ok(value),
                    (None, Some(default)) => {
                        let value = self.unknown(default, None);
                        self.settle(value, declared.unwrap_or(&SqlType::Text))
                    }
                    (None, None) => self.settle(null(), declared.unwrap_or(&SqlType::Text)),
                },
            )
            .collect::<Result<Vec<_>>>()?;
        let result = poly.resolve(&proc.result, &common);
        Ok(Resolved { proc, args, result })
    }

    /// No function of that name and these types: a cast spelled as one, or an error.
    pub(super) fn no_function(
        &mut self,
        name: &str,
        mut values: Vec<Typed>,
        at: Option<u32>,
    ) -> Result<Resolved> {
        let call = signature(name, &values);
        if values.len() == 1
            && let Some(to) = SqlType::parse_name(name)
            && !to.is_pseudo()
            && let Some(value) = values.pop()
        {
            let cast = self
                .coerce(value, &to.without_typmod(), CastContext::Explicit)
                .map_err(|error| error.at(at))?;
            // The identity function of any type gives it the shape of a call.
            return match IDENTITY.as_ref() {
                Some(proc) => Ok(Resolved {
                    proc,
                    result: cast.ty.clone(),
                    args: vec![cast],
                }),
                None => Err(Error::internal("no identity function")),
            };
        }
        if let Some(computed) = self.behind_operator(name, &values, at)? {
            return match IDENTITY.as_ref() {
                Some(proc) => Ok(Resolved {
                    proc,
                    result: computed.ty.clone(),
                    args: vec![computed],
                }),
                None => Err(Error::internal("no identity function")),
            };
        }
        let ranges = values
            .iter()
            .any(|value| matches!(value.ty, SqlType::Range(_)));
        if ranges && matches!(name, "range_agg" | "range_intersect_agg" | "multirange") {
            return Err(unsupported(format!("function {name}")).at(at));
        }
        let hint = "No function matches the given name and argument types. \
                    You might need to add explicit type casts.";
        Err(Error::new(
            SqlState::UNDEFINED_FUNCTION,
            format!("function {call} does not exist"),
        )
        .hint(hint)
        .at(at))
    }

    /// `int4pl(1, 2)`: the function that an operator has behind it, as the operator.
    pub(super) fn behind_operator(
        &mut self,
        name: &str,
        values: &[Typed],
        at: Option<u32>,
    ) -> Result<Option<Typed>> {
        let found = crate::functions::all_operators().find(|operator| {
            operator.code == name
                && 1 + usize::from(operator.left.is_some()) == values.len()
                && !operator.right.is_pseudo()
        });
        let Some(operator) = found else {
            return Ok(None);
        };
        let types = operator.left.iter().chain([&operator.right]);
        let mut operands = Vec::with_capacity(values.len());
        for (value, ty) in values.iter().zip(types) {
            match self.coerce(value.clone(), ty, CastContext::Implicit) {
                Ok(operand) => operands.push(operand),
                // Of other types there is none.
                Err(error) if error.code == SqlState::DATATYPE_MISMATCH => return Ok(None),
                Err(error) if error.code == SqlState::CANNOT_COERCE => return Ok(None),
                Err(error) => return Err(error.at(at)),
            }
        }
        self.operate(operator.name, operands, at).map(Some)
    }
}

pub(super) fn signature(name: &str, values: &[Typed]) -> String {
    let types = values
        .iter()
        .map(|value| value.ty.without_typmod().name())
        .collect::<Vec<_>>();
    format!("{name}({})", types.join(", "))
}

/// How a call can be one of this function: the declared types by argument, and where each goes.
pub(super) fn candidate(
    proc: &'static Proc,
    names: &[Option<String>],
    variadic: bool,
) -> Option<Candidate<(&'static Proc, Vec<usize>)>> {
    let count = names.len();
    let declared = proc.args.len();
    let named = names.iter().any(Option::is_some);
    if let Some(element) = &proc.variadic
        && !variadic
        && !named
    {
        let fixed = declared.saturating_sub(1);
        // There is at least one variadic argument.
        if count <= fixed {
            return None;
        }
        let args = proc
            .args
            .iter()
            .take(fixed)
            .chain(std::iter::repeat_n(element, count - fixed));
        return Some(Candidate {
            args: args.cloned().collect(),
            what: (proc, (0..count).collect()),
        });
    }
    if variadic && proc.variadic.is_none() {
        return None;
    }
    if count > declared || count + proc.defaults < declared {
        return None;
    }
    let mut slots = Vec::with_capacity(count);
    for (at, name) in names.iter().enumerate() {
        let slot = match name {
            None => at,
            Some(name) => proc.arg_names.iter().position(|arg| arg == name)?,
        };
        if slots.contains(&slot) {
            return None;
        }
        slots.push(slot);
    }
    // What is not given must have a default.
    let required = declared - proc.defaults;
    if (0..required).any(|slot| !slots.contains(&slot)) {
        return None;
    }
    let args = slots
        .iter()
        .map(|slot| proc.args.get(*slot).cloned())
        .collect::<Option<Vec<_>>>()?;
    Some(Candidate {
        args,
        what: (proc, slots),
    })
}

/// A function that returns its argument: what a cast spelled as a function is.
static IDENTITY: std::sync::LazyLock<Option<Proc>> = std::sync::LazyLock::new(|| {
    Some(Proc {
        oid: 0,
        name: "cast",
        schema: "pg_catalog",
        kind: ProcKind::Scalar,
        args: vec![SqlType::Any],
        arg_names: Vec::new(),
        defaults: 0,
        variadic: None,
        result: SqlType::AnyElement,
        columns: Vec::new(),
        strict: true,
        volatility: crate::functions::Volatile::Immutable,
        ordered_set: false,
        imp: crate::functions::Imp::Scalar(|mut args, _| {
            args.pop()
                .ok_or_else(|| crate::functions::FunctionError::internal("a cast has an argument"))
        }),
    })
});
