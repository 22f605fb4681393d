//! `rank(5) WITHIN GROUP (ORDER BY v)` and its kin: where a row would stand among those of a group.
//!
//! Each is a count of the rows before it, so it is bound as one.

use chronolith_sql::ast;
use chronolith_types::SqlState;

use super::state::{Binder, Place, Result, unsupported};
use crate::error::Error;
use crate::functions::Typed;

impl Binder<'_> {
    /// A hypothetical-set aggregate.
    pub(super) fn hypothetical(
        &mut self,
        place: Place<'_>,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
        at: Option<u32>,
    ) -> Result<Typed> {
        let keys = &function.within_group;
        if keys.len() != list.args.len() {
            let count = |number: usize| if number == 1 { "" } else { "s" };
            return Err(Error::new(
                SqlState::UNDEFINED_FUNCTION,
                format!("function {name} does not exist"),
            )
            .hint(format!(
                "To use the hypothetical-set aggregate {name}, the number of hypothetical direct \
                 arguments (here {}) must match the number of ordering column{} (here {}).",
                list.args.len(),
                count(2),
                keys.len()
            ))
            .at(at));
        }
        let down = keys.iter().any(|key| key.options.asc == Some(false));
        let placed = keys.iter().any(|key| {
            let last = key.options.asc != Some(false);
            key.options.nulls_first.is_some_and(|first| first == last)
        });
        if placed || (down && keys.len() > 1) {
            return Err(unsupported("a hypothetical-set aggregate over such an order").at(at));
        }
        let of = |texts: Vec<String>| match texts.as_slice() {
            [one] => format!("({one})"),
            several => format!("ROW({})", several.join(", ")),
        };
        let key = of(keys.iter().map(|key| key.expr.to_string()).collect());
        let given = of(list.args.iter().map(ToString::to_string).collect());
        // NULLs come last, and so first where the order is turned around.
        let (before, upto) = if down {
            (
                format!("({key} > {given} OR {key} IS NULL)"),
                format!("({key} >= {given} OR {key} IS NULL)"),
            )
        } else {
            (format!("({key} < {given})"), format!("({key} <= {given})"))
        };
        let all = match &function.filter {
            Some(filter) => format!("({filter})"),
            None => "true".to_owned(),
        };
        let count = |what: &str, of: &str| format!("count({what}) FILTER (WHERE {all} AND {of})");
        let text = match name {
            "rank" => format!("{} + 1", count("*", &before)),
            "dense_rank" => format!(
                "{} + {} + 1",
                count(&format!("DISTINCT {key}"), &before),
                // One more where NULLs come before it.
                if down {
                    format!(
                        "CASE WHEN {} > 0 THEN 1 ELSE 0 END",
                        count("*", &format!("{key} IS NULL"))
                    )
                } else {
                    "0".to_owned()
                }
            ),
            "percent_rank" => format!(
                "coalesce({}::float8 / nullif({}, 0), 0)",
                count("*", &before),
                count("*", "true")
            ),
            "cume_dist" => format!(
                "({} + 1)::float8 / ({} + 1)",
                count("*", &upto),
                count("*", "true")
            ),
            other => {
                return Err(Error::new(
                    SqlState::WRONG_OBJECT_TYPE,
                    format!(
                        "{other} is not an ordered-set aggregate, so it cannot have WITHIN GROUP"
                    ),
                )
                .at(at));
            }
        };
        let counted = chronolith_sql::expression(&format!("({text})"))
            .map_err(|_| unsupported(format!("{name} over such an order")).at(at))?;
        self.expr(place, &counted)
    }
}
