//! Types brought together by PostgreSQL's rules.

use chronolith_types::{SqlState, SqlType};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

use super::params::number_of;
use super::state::{Binder, Result, told};
use super::within::asked_within;
use crate::error::Error;
use crate::evaluate::props_of;
use crate::functions::{
    CastContext, Typed, apply_cast, canonical_form, cast, is_composite, literal_from_text,
};

/// Whether a value of a type may become another in a context, without making it.
pub(crate) fn castable(from: &SqlType, to: &SqlType, context: CastContext) -> bool {
    let (from, to) = (from.without_typmod(), to.without_typmod());
    if from == to || from == SqlType::Unknown {
        return true;
    }
    cast(&from, &to).is_some_and(|found| found.context <= context)
}

/// The type that reads a constant for a column: an interval's fields say what a bare number is of;
/// lengths and digits are for the value that was read.
pub(super) fn read_as(ty: &SqlType) -> SqlType {
    match ty {
        SqlType::Interval(Some(_)) => ty.clone(),
        other => other.without_typmod(),
    }
}

/// Whether a value of a type can be stored in a column of another.
pub(crate) fn assignable(from: &SqlType, to: &SqlType) -> bool {
    castable(from, to, CastContext::Assignment)
}

/// Whether a value of a type may stand where a function takes `to`, which may be polymorphic.
pub(super) fn accepts(to: &SqlType, from: &SqlType) -> bool {
    match to {
        SqlType::Any | SqlType::AnyElement | SqlType::AnyCompatible => true,
        SqlType::AnyNonArray => !matches!(from, SqlType::Array(_)),
        SqlType::AnyRange => matches!(from, SqlType::Range(_) | SqlType::Unknown),
        SqlType::AnyEnum => from.labels().is_some() || *from == SqlType::Unknown,
        SqlType::AnyArray | SqlType::AnyCompatibleArray => {
            matches!(
                from,
                SqlType::Array(_) | SqlType::Unknown | SqlType::Int2Vector | SqlType::OidVector
            )
        }
        // What a function makes for another, `by_range` for one, passes as it is.
        SqlType::Cstring => matches!(from, SqlType::Cstring | SqlType::Unknown),
        _ => castable(from, to, CastContext::Implicit),
    }
}

impl Binder<'_> {
    /// The value as a type, if the context allows it and domains let in what is within it.
    pub(super) fn coerce(
        &mut self,
        value: Typed,
        to: &SqlType,
        context: CastContext,
    ) -> Result<Typed> {
        if to.demands() && value.ty == SqlType::Unknown {
            return self.settle(value, to);
        }
        if to.demands() && value.ty != *to {
            let made = self.coerce_bare(value, &to.plain(), context)?;
            return self.restricted(made, to);
        }
        self.coerce_bare(value, to, context)
    }

    fn coerce_bare(&mut self, value: Typed, to: &SqlType, context: CastContext) -> Result<Typed> {
        if value.ty == SqlType::Unknown {
            // A cast cuts a text to its length where an assignment refuses it.
            if context == CastContext::Explicit
                && matches!(to, SqlType::Varchar(Some(_)) | SqlType::Char(Some(_)))
                && (matches!(value.as_literal(), Some(ScalarValue::Utf8View(Some(_))))
                    || number_of(&value.expr).is_some())
            {
                let settled = self.settle(value, &to.without_typmod())?;
                return apply_cast(settled, to, true).map_err(told);
            }
            return self.settle_bare(value, to);
        }
        if matches!(
            to,
            SqlType::Any
                | SqlType::AnyElement
                | SqlType::AnyNonArray
                | SqlType::AnyEnum
                | SqlType::AnyArray
                | SqlType::AnyRange
                | SqlType::AnyCompatible
                | SqlType::AnyCompatibleArray
        ) {
            return Ok(value);
        }
        if !castable(&value.ty, to, context) {
            return Err(Error::new(
                SqlState::CANNOT_COERCE,
                format!(
                    "cannot cast type {} to {}",
                    value.ty.without_typmod(),
                    to.without_typmod()
                ),
            ));
        }
        apply_cast(value, to, context == CastContext::Explicit).map_err(told)
    }

    /// An untyped literal or parameter, now that its type is known.
    pub(super) fn settle(&mut self, value: Typed, to: &SqlType) -> Result<Typed> {
        if !to.demands() {
            return self.settle_bare(value, to);
        }
        let at = match value.as_literal() {
            Some(ScalarValue::Utf8View(Some(text))) => self.literals.get(text).copied(),
            _ => None,
        };
        if let Some(number) = number_of(&value.expr) {
            let typed = self.params.decide(number, to)?;
            return self.restricted(typed, to);
        }
        let made = self.settle_bare(value, &to.plain())?;
        match made.as_literal() {
            // Whoever reads a literal asks what its type asks.
            Some(literal) if is_composite(to) || to.element().is_some() => {
                let values = literal.to_array().map_err(super::state::lift)?;
                let props = props_of(self.names.vars().clone());
                if let Some(within) = asked_within(self.names, to)? {
                    within
                        .hold(&values, &props)
                        .map_err(|error| told(error).at(at))?;
                }
                let ty = to.base().clone();
                Ok(Typed { ty, ..made })
            }
            _ => self.restricted(made, to),
        }
    }

    fn settle_bare(&mut self, value: Typed, to: &SqlType) -> Result<Typed> {
        let to = match to {
            SqlType::Any
            | SqlType::AnyElement
            | SqlType::AnyNonArray
            | SqlType::AnyCompatible
            | SqlType::Unknown => &SqlType::Text,
            other => other,
        };
        if let Some(number) = number_of(&value.expr) {
            let typed = self.params.decide(number, to)?;
            // The modifier is applied to whatever comes.
            return apply_cast(typed, to, false).map_err(told);
        }
        match value.as_literal() {
            Some(ScalarValue::Utf8View(Some(text))) => {
                let text = text.clone();
                if let SqlType::Reg(_) = to
                    && !text.bytes().all(|byte| byte.is_ascii_digit())
                {
                    // Names of objects are looked up when the statement runs.
                    let named = Typed::literal(ScalarValue::Utf8View(Some(text)), SqlType::Text);
                    return apply_cast(named, to, true).map_err(told);
                }
                let names = to.element().is_some_and(|of| matches!(of, SqlType::Reg(_)));
                let texts = SqlType::Text.array_of();
                let read = if names { &texts } else { to };
                match literal_from_text(&text, read, self.names.vars()) {
                    Ok(value) if names => {
                        apply_cast(Typed::literal(value, texts), to, true).map_err(told)
                    }
                    Ok(value) => Ok(Typed::literal(value, to.clone())),
                    Err(error) => Err(told(error).at(self.literals.get(&text).copied())),
                }
            }
            Some(value) if value.is_null() => {
                let form = ScalarValue::try_from(&to.arrow()).map_err(super::state::lift)?;
                Ok(Typed::literal(form, to.clone()))
            }
            // Text in memory, of a column that nobody typed.
            _ => apply_cast(
                Typed {
                    ty: SqlType::Text,
                    ..value
                },
                to,
                true,
            )
            .map_err(told),
        }
    }

    /// A condition.
    pub(super) fn condition(&mut self, value: Typed, of: &str, at: Option<u32>) -> Result<Expr> {
        if value.ty == SqlType::Bool {
            return Ok(value.expr);
        }
        if value.ty == SqlType::Unknown {
            return Ok(self.settle(value, &SqlType::Bool)?.expr);
        }
        Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "argument of {of} must be type boolean, not type {}",
                value.ty.without_typmod()
            ),
        )
        .at(at))
    }

    /// The one type that several values become: of CASE, UNION, VALUES, ARRAY …
    pub(super) fn common(&self, types: &[SqlType], of: &str) -> Result<SqlType> {
        let mut chosen: Option<SqlType> = None;
        for ty in types {
            if *ty == SqlType::Unknown {
                continue;
            }
            match &chosen {
                None => chosen = Some(ty.clone()),
                Some(so_far) if so_far == ty => {}
                // A row without a type is of that of the others.
                Some(so_far) if so_far.fields().is_some() && *ty == SqlType::Record => {}
                Some(SqlType::Record) if ty.fields().is_some() => chosen = Some(ty.clone()),
                Some(so_far) if so_far.without_typmod() == ty.without_typmod() => {
                    chosen = Some(ty.without_typmod());
                }
                Some(so_far) => {
                    if so_far.category() != ty.category() {
                        return Err(Error::new(
                            SqlState::DATATYPE_MISMATCH,
                            format!(
                                "{of} types {} and {} cannot be matched",
                                so_far.without_typmod(),
                                ty.without_typmod()
                            ),
                        ));
                    }
                    if !so_far.without_typmod().preferred()
                        && castable(so_far, ty, CastContext::Implicit)
                        && !castable(ty, so_far, CastContext::Implicit)
                    {
                        chosen = Some(ty.without_typmod());
                    } else {
                        chosen = Some(so_far.without_typmod());
                    }
                }
            }
        }
        Ok(chosen.unwrap_or(SqlType::Text))
    }

    /// [`Self::unify`], and an error points at the first value whose type does not fit.
    pub(super) fn unify_at(
        &mut self,
        values: Vec<Typed>,
        of: &str,
        places: &[Option<u32>],
    ) -> Result<(Vec<Typed>, SqlType)> {
        let types = values.iter().map(|v| v.ty.clone()).collect::<Vec<_>>();
        self.unify(values, of).map_err(|error| {
            let fits = |count: &usize| {
                let types = types.get(..*count).unwrap_or(&types);
                self.common(types, of).is_err()
            };
            let unfit = (1..=types.len()).find(fits);
            error.at(unfit.and_then(|count| places.get(count - 1).copied().flatten()))
        })
    }

    /// Values as their common type, all in one Arrow form.
    pub(super) fn unify(&mut self, values: Vec<Typed>, of: &str) -> Result<(Vec<Typed>, SqlType)> {
        let types = values.iter().map(|v| v.ty.clone()).collect::<Vec<_>>();
        let ty = self.common(&types, of)?;
        let mut made = Vec::with_capacity(values.len());
        for value in values {
            let known = value.ty.clone();
            made.push(
                self.coerce(value, &ty, CastContext::Implicit)
                    .map_err(|error| {
                        if error.code == SqlState::CANNOT_COERCE {
                            Error::new(
                                SqlState::CANNOT_COERCE,
                                format!("{of} could not convert type {known} to {ty}"),
                            )
                        } else {
                            error
                        }
                    })?,
            );
        }
        Ok((self.one_form(made)?, ty))
    }

    /// Values of one type in one Arrow form.
    pub(super) fn one_form(&mut self, values: Vec<Typed>) -> Result<Vec<Typed>> {
        let same = values.windows(2).all(|pair| match pair {
            [a, b] => a.arrow == b.arrow,
            _ => true,
        });
        if same {
            return Ok(values);
        }
        values
            .into_iter()
            .map(|value| canonical_form(value).map_err(told))
            .collect()
    }
}
