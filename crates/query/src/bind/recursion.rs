//! SEARCH and CYCLE of recursive queries: columns beside their own, which say in which order rows are
//! found, and over which others a row was come to.

use chronolith_sql::ast::{self, SetExpr, TableFactor};
use chronolith_sql::{Recursion, expression, quoted};
use chronolith_types::{SqlState, SqlType};
use datafusion::logical_expr::{lit, when};

use super::reference::take_field;
use super::scope::{Scope, ScopeColumn};
use super::special::numbered;
use super::state::{
    Binder, Clause, Place, Rel, Result, ident_position, lift, typed, unnamed, unsupported,
};
use crate::error::Error;
use crate::functions::Typed;

/// The values of a cycle's mark.
const MARKS: (&str, &str) = ("true", "false");

/// What stands behind a query of WITH.
pub(super) fn recursion(cte: &ast::Cte, recursive: bool) -> Result<Option<Recursion>> {
    let found = Recursion::of(cte).map_err(|name| {
        Error::new(
            SqlState::SYNTAX_ERROR,
            format!("syntax error at or near \"{}\"", name.value),
        )
        .at(ident_position(name))
    })?;
    if found.is_some() && !recursive {
        let message = "WITH query is not recursive";
        let at = ident_position(&cte.alias.name);
        return Err(Error::new(SqlState::SYNTAX_ERROR, message).at(at));
    }
    Ok(found)
}

/// The names of the columns beside the query's own, in their order.
fn beside(recursion: &Recursion) -> Vec<&str> {
    let search = recursion.search.iter().map(|search| &search.sequence);
    let cycle = recursion.cycle.iter();
    search
        .chain(cycle.flat_map(|cycle| [&cycle.mark, &cycle.path]))
        .map(String::as_str)
        .collect()
}

/// Refuses columns that are not there, and two of one name.
pub(super) fn check_listed(
    recursion: &Recursion,
    columns: &[ScopeColumn],
    at: Option<u32>,
) -> Result<()> {
    let known = |name: &str| columns.iter().any(|column| column.name == name);
    let refused = |code: SqlState, message: String| Err(Error::new(code, message).at(at));
    let listed = |kind: &str, names: &[String]| {
        for (place, name) in names.iter().enumerate() {
            if !known(name) {
                let message = format!("{kind} column \"{name}\" not in WITH query column list");
                return refused(SqlState::SYNTAX_ERROR, message);
            }
            if names.iter().take(place).any(|other| other == name) {
                let message = format!("{kind} column \"{name}\" specified more than once");
                return refused(SqlState::DUPLICATE_COLUMN, message);
            }
        }
        Ok(())
    };
    if let Some(search) = &recursion.search {
        listed("search", &search.by)?;
    }
    let unlike = |one: (&str, &str), other: (&str, &str)| match one.1 == other.1 {
        false => Ok(()),
        true => refused(
            SqlState::SYNTAX_ERROR,
            format!(
                "{} column name and {} column name are the same",
                one.0, other.0
            ),
        ),
    };
    if let Some(cycle) = &recursion.cycle {
        listed("cycle", &cycle.columns)?;
        let (mark, path) = (("cycle mark", cycle.mark.as_str()), cycle.path.as_str());
        unlike(mark, ("cycle path", path))?;
        if let Some(search) = &recursion.search {
            let sequence = ("search sequence", search.sequence.as_str());
            unlike(sequence, mark)?;
            unlike(sequence, ("cycle path", path))?;
        }
    }
    Ok(())
}

/// Refuses names that are there already.
pub(super) fn check_fresh(recursion: &Recursion, names: &[String], at: Option<u32>) -> Result<()> {
    let known = |name: &str| names.iter().any(|known| known == name);
    let refused = |message: String| Err(Error::new(SqlState::SYNTAX_ERROR, message).at(at));
    let fresh = |kind: &str, name: &str| match known(name) {
        false => Ok(()),
        true => refused(format!(
            "{kind} column name \"{name}\" already used in WITH query column list"
        )),
    };
    if let Some(search) = &recursion.search {
        fresh("search sequence", &search.sequence)?;
    }
    if let Some(cycle) = &recursion.cycle {
        fresh("cycle mark", &cycle.mark)?;
        fresh("cycle path", &cycle.path)?;
    }
    Ok(())
}

/// The recursive term, which also reads the columns beside the query's own, and leaves rows alone
/// that were come to before.
pub(super) fn widened(
    recursion: &Recursion,
    name: &str,
    right: &SetExpr,
    at: Option<u32>,
) -> Result<SetExpr> {
    let SetExpr::Select(select) = right else {
        return Err(unsupported_side("right", at));
    };
    let tables = select.from.iter();
    let factors = tables.flat_map(|table| {
        let joins = table.joins.iter().map(|join| &join.relation);
        std::iter::once(&table.relation).chain(joins)
    });
    let itself = factors.filter_map(|factor| match factor {
        TableFactor::Table {
            name: table, alias, ..
        } => match table.0.as_slice() {
            [only] if only.as_ident().is_some_and(|ident| ident.value == name) => {
                Some(alias.as_ref().map_or(name, |alias| &alias.name.value))
            }
            _ => None,
        },
        _ => None,
    });
    let Some(table) = itself.map(str::to_owned).next() else {
        return Err(Error::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!(
                "with a SEARCH or CYCLE clause, the recursive reference to WITH query \"{name}\" must be at the top level of its right-hand SELECT"
            ),
        )
        .at(at));
    };
    let read =
        |text: &str| expression(text).map_err(|error| Error::internal(format!("{text}: {error}")));
    let mut select = select.clone();
    for column in beside(recursion) {
        let tree = read(&format!("{}.{}", quoted(&table), quoted(column)))?;
        select.projection.push(ast::SelectItem::UnnamedExpr(tree));
    }
    if let Some(cycle) = &recursion.cycle {
        let value = cycle.values.as_ref().map_or(MARKS.0, |(value, _)| value);
        let mark = quoted(&cycle.mark);
        let again = read(&format!("{}.{mark} <> ({value})", quoted(&table)))?;
        select.selection = Some(match select.selection.take() {
            None => again,
            Some(condition) => ast::Expr::BinaryOp {
                left: Box::new(ast::Expr::Nested(Box::new(condition))),
                op: ast::BinaryOperator::And,
                right: Box::new(again),
            },
        });
    }
    Ok(SetExpr::Select(select))
}

pub(super) fn unsupported_side(side: &str, at: Option<u32>) -> Error {
    let message =
        format!("with a SEARCH or CYCLE clause, the {side} side of the UNION must be a SELECT");
    Error::new(SqlState::SYNTAX_ERROR, message).at(at)
}

impl Binder<'_> {
    /// The first rows, with the columns beside the query's own.
    pub(super) fn begun(&mut self, recursion: &Recursion, first: Rel) -> Result<Rel> {
        let columns = first.scope.columns.clone();
        let values: Vec<Typed> = columns.iter().map(typed).collect();
        let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
        let mut items: Vec<(Typed, ScopeColumn)> = values.iter().cloned().zip(columns).collect();
        let mut add = |name: &str, value: Typed| items.push((value, unnamed(name)));
        if let Some(search) = &recursion.search {
            let key = chosen(&names, &values, &search.by);
            let value = match search.breadth {
                true => {
                    let depth = Typed {
                        expr: lit(0_i64),
                        ty: SqlType::Int8,
                        arrow: arrow::datatypes::DataType::Int64,
                    };
                    self.record(numbered(std::iter::once(depth).chain(key).collect()))?
                }
                false => self.way(key)?,
            };
            add(&search.sequence, value);
        }
        if let Some(cycle) = &recursion.cycle {
            let (_, otherwise) = self.marks(recursion)?;
            let key = chosen(&names, &values, &cycle.columns);
            let path = self.way(key)?;
            add(&cycle.mark, otherwise);
            add(&cycle.path, path);
        }
        self.project(first.plan, items)
    }

    /// What stands beside the values of a further row; `before` is what its origin has there.
    pub(super) fn continued(
        &mut self,
        recursion: &Recursion,
        names: &[String],
        values: &[Typed],
        before: &[Typed],
    ) -> Result<Vec<Typed>> {
        let mut before = before.iter().cloned();
        let mut next = || {
            before
                .next()
                .ok_or_else(|| Error::internal("a recursive query lost a column"))
        };
        let mut made = Vec::new();
        if let Some(search) = &recursion.search {
            let key = chosen(names, values, &search.by);
            let sequence = next()?;
            made.push(match search.breadth {
                true => {
                    let depth = take_field(sequence, "f1")?;
                    let one = Typed {
                        expr: lit(1_i64),
                        ty: SqlType::Int8,
                        arrow: arrow::datatypes::DataType::Int64,
                    };
                    let depth = Typed {
                        ty: SqlType::Int8,
                        ..depth
                    };
                    let depth = self.operate("+", vec![depth, one], None)?;
                    self.record(numbered(std::iter::once(depth).chain(key).collect()))?
                }
                false => {
                    let row = self.way(key)?;
                    self.operate("||", vec![sequence, row], None)?
                }
            });
        }
        if let Some(cycle) = &recursion.cycle {
            let (_mark, path) = (next()?, next()?);
            let key = chosen(names, values, &cycle.columns);
            let row = self.way(key)?;
            let again = self.operate("@>", vec![path.clone(), row.clone()], None)?;
            let (value, otherwise) = self.marks(recursion)?;
            let chosen = when(again.expr, value.expr)
                .otherwise(otherwise.expr)
                .map_err(lift)?;
            made.push(Typed {
                expr: chosen,
                ty: value.ty,
                arrow: value.arrow,
            });
            made.push(self.operate("||", vec![path, row], None)?);
        }
        Ok(made)
    }

    /// A list of one row.
    fn way(&mut self, key: Vec<Typed>) -> Result<Typed> {
        let row = self.record(numbered(key))?;
        super::array::make(vec![row], SqlType::Record, None)
    }

    /// The mark of a row that was come to before, and that of others.
    fn marks(&mut self, recursion: &Recursion) -> Result<(Typed, Typed)> {
        let nothing = Scope::default();
        let place = Place {
            scope: &nothing,
            clause: Clause::Values,
        };
        let given = recursion
            .cycle
            .as_ref()
            .and_then(|cycle| cycle.values.as_ref());
        let (value, otherwise) = match given {
            Some((value, otherwise)) => (value.as_str(), otherwise.as_str()),
            None => MARKS,
        };
        let mut both = Vec::with_capacity(2);
        for text in [value, otherwise] {
            let tree = expression(text)
                .map_err(|error| Error::new(SqlState::SYNTAX_ERROR, error.to_string()))?;
            both.push(self.expr(place, &tree)?);
        }
        let (both, _) = self.unify(both, "CYCLE")?;
        let mut both = both.into_iter();
        match (both.next(), both.next()) {
            (Some(value), Some(otherwise)) => Ok((self.settled(value)?, self.settled(otherwise)?)),
            _ => Err(unsupported("CYCLE without values")),
        }
    }
}

/// The values of some columns.
fn chosen(names: &[String], values: &[Typed], columns: &[String]) -> Vec<Typed> {
    let place = |column: &String| names.iter().position(|name| name == column);
    let found = columns
        .iter()
        .filter_map(|column| values.get(place(column)?));
    found.cloned().collect()
}
