//! What of FROM a locking clause may mean: tables, and those that subqueries show.

use chronolith_sql::ast;
use chronolith_types::SqlState;

use super::locators::{LOCATOR, column, tables_of};
use super::names::SessionNames;
use crate::error::Error;

/// A table of FROM: its own name, and by what the query finds where its rows lie.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) table: String,
    /// What the query calls it, or the subquery that it stands in.
    pub(super) alias: String,
    /// The column of that.
    pub(super) column: String,
    /// Of a view, which of the tables that it shows rows of.
    pub(super) number: usize,
    /// Its schema, where that is said.
    pub(super) schema: Option<String>,
    /// Whether a join may leave it without a row.
    pub(super) nullable: bool,
}

impl Named {
    /// A table of FROM; None for what else stands there.
    pub(super) fn of(factor: &ast::TableFactor) -> Option<Self> {
        let ast::TableFactor::Table {
            name,
            alias,
            args: None,
            ..
        } = factor
        else {
            return None;
        };
        let table = name.0.last()?.as_ident()?;
        let alias = alias.as_ref().map_or(table, |alias| &alias.name);
        Some(Self {
            table: table.value.clone(),
            alias: alias.value.clone(),
            column: LOCATOR.to_owned(),
            number: 0,
            schema: match name.0.as_slice() {
                [.., schema, _] => Some(schema.as_ident()?.value.clone()),
                _ => None,
            },
            nullable: false,
        })
    }

    /// The tables that are joined; None where something else is.
    pub(super) fn of_joins(from: &ast::TableWithJoins) -> Option<Vec<Self>> {
        let of = |factor: &ast::TableFactor| match factor {
            ast::TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => Self::of_joins(table_with_joins),
            factor => Self::of(factor).map(|table| vec![table]),
        };
        let mut found = of(&from.relation)?;
        for join in &from.joins {
            let (left, right) = nullable(&join.join_operator);
            for before in &mut found {
                before.nullable |= left;
            }
            found.extend(of(&join.relation)?.into_iter().map(|table| Self {
                nullable: table.nullable || right,
                ..table
            }));
        }
        Some(found)
    }
}

/// Whether a join may leave the tables before it without a row, and the one that it adds.
fn nullable(join: &ast::JoinOperator) -> (bool, bool) {
    match join {
        ast::JoinOperator::Left(_) | ast::JoinOperator::LeftOuter(_) => (false, true),
        ast::JoinOperator::Right(_) | ast::JoinOperator::RightOuter(_) => (true, false),
        ast::JoinOperator::FullOuter(_) => (true, true),
        _ => (false, false),
    }
}

/// What keeps the rows of a query from being locked, in PostgreSQL's words.
pub(super) fn unfit(query: &ast::Query) -> Option<&'static str> {
    let ast::SetExpr::Select(select) = query.body.as_ref() else {
        return Some("UNION/INTERSECT/EXCEPT");
    };
    let grouped = match &select.group_by {
        ast::GroupByExpr::All(_) => true,
        ast::GroupByExpr::Expressions(keys, _) => !keys.is_empty(),
    };
    match (&select.distinct, grouped, &select.having) {
        (Some(_), ..) => Some("DISTINCT clause"),
        (None, true, _) => Some("GROUP BY clause"),
        (None, false, Some(_)) => Some("HAVING clause"),
        (None, false, None) => None,
    }
}

/// The tables of a query's FROM, with those of the subqueries in it, which are made to say where
/// their rows lie.
pub(super) struct From<'w> {
    names: &'w SessionNames,
    /// Queries of WITH: they have no rows to lock.
    with: &'w [String],
    /// How many columns subqueries got.
    shown: usize,
    /// The aliases that clauses name; None for all.
    wanted: Option<Vec<String>>,
    verb: &'static str,
}

impl<'w> From<'w> {
    /// What the clauses of a query may mean.
    ///
    /// # Errors
    /// 0A000 for a subquery that is meant and whose rows cannot be locked.
    pub(super) fn of(
        names: &'w SessionNames,
        query: &mut ast::Query,
        with: &'w [String],
    ) -> Result<Vec<Named>, Error> {
        let clauses = query.locks.iter().map(super::for_update::clause);
        let wanted: Option<Vec<String>> = clauses
            .map(|(wanted, _)| wanted.map(str::to_owned))
            .collect();
        let verb = query.locks.first().map(super::for_update::said);
        let mut own = Self {
            names,
            with,
            shown: 0,
            wanted,
            verb: verb.map_or("FOR UPDATE", |(verb, _)| verb),
        };
        match query.body.as_mut() {
            ast::SetExpr::Select(select) => own.of_select(select),
            _ => Ok(Vec::new()),
        }
    }

    fn of_select(&mut self, select: &mut ast::Select) -> Result<Vec<Named>, Error> {
        let mut found = Vec::new();
        for from in &mut select.from {
            found.extend(self.of_joins(from)?);
        }
        Ok(found)
    }

    fn of_joins(&mut self, from: &mut ast::TableWithJoins) -> Result<Vec<Named>, Error> {
        let mut found = self.of_factor(&mut from.relation)?;
        for join in &mut from.joins {
            let (left, right) = nullable(&join.join_operator);
            for before in &mut found {
                before.nullable |= left;
            }
            let more = self.of_factor(&mut join.relation)?.into_iter();
            found.extend(more.map(|table| Named {
                nullable: table.nullable || right,
                ..table
            }));
        }
        Ok(found)
    }

    fn of_factor(&mut self, factor: &mut ast::TableFactor) -> Result<Vec<Named>, Error> {
        match factor {
            ast::TableFactor::NestedJoin {
                table_with_joins,
                alias: None,
            } => self.of_joins(table_with_joins),
            ast::TableFactor::Derived {
                subquery,
                alias: Some(alias),
                ..
            } if self.means(&alias.name.value) => self.of_subquery(subquery, alias),
            factor => match Named::of(factor) {
                Some(table) => self.of_relation(table),
                None => Ok(Vec::new()),
            },
        }
    }

    /// The tables that a relation shows rows of.
    fn of_relation(&self, table: Named) -> Result<Vec<Named>, Error> {
        let is_query = table.schema.is_none() && self.with.contains(&table.table);
        if is_query || !self.means(&table.alias) {
            return Ok(vec![table]);
        }
        let count = tables_of(self.names, table.schema.as_deref(), &table.table, self.verb)?;
        let of = |number: usize| Named {
            column: column(number + 1, count),
            number,
            ..table.clone()
        };
        Ok((0..count).map(of).collect())
    }

    fn means(&self, alias: &str) -> bool {
        let named = |wanted: &Vec<String>| wanted.iter().any(|wanted| wanted == alias);
        self.wanted.as_ref().is_none_or(named)
    }

    /// The tables that a subquery shows rows of: it says where these lie behind its columns.
    fn of_subquery(
        &mut self,
        subquery: &mut ast::Query,
        alias: &ast::TableAlias,
    ) -> Result<Vec<Named>, Error> {
        if !subquery.locks.is_empty() {
            return Err(Error::unsupported(format!(
                "{} of a subquery that locks rows too",
                self.verb
            )));
        }
        if matches!(subquery.body.as_ref(), ast::SetExpr::Values(_)) {
            return Ok(Vec::new());
        }
        if let Some(what) = unfit(subquery) {
            return Err(self.refused(&format!("is not allowed with {what}")));
        }
        let with = subquery.with.iter().flat_map(|with| &with.cte_tables);
        let with: Vec<String> = with.map(|cte| cte.alias.name.value.clone()).collect();
        let ast::SetExpr::Select(select) = subquery.body.as_mut() else {
            return Ok(Vec::new());
        };
        let mut items = select.projection.iter();
        if items.any(|item| item.to_string().to_lowercase().contains(" over ")) {
            return Err(self.refused("is not allowed with window functions"));
        }
        let wanted = self.wanted.take();
        let found = self.of_select(select);
        self.wanted = wanted;
        let mut shown = Vec::new();
        for table in found? {
            let hidden = |of: &[String]| table.schema.is_none() && of.contains(&table.table);
            if hidden(self.with) || hidden(&with) {
                continue;
            }
            if table.nullable {
                return Err(self.refused("cannot be applied to the nullable side of an outer join"));
            }
            let star = |item: &ast::SelectItem| {
                matches!(
                    item,
                    ast::SelectItem::Wildcard(_) | ast::SelectItem::QualifiedWildcard(..)
                )
            };
            if !alias.columns.is_empty() && select.projection.iter().any(star) {
                return Err(Error::unsupported(format!(
                    "{} of a subquery whose columns are renamed",
                    self.verb
                )));
            }
            self.shown += 1;
            let column = format!("{LOCATOR}{}", self.shown);
            let parts = [table.alias.as_str(), table.column.as_str()];
            let parts = parts.map(|part| ast::Ident::with_quote('"', part));
            select.projection.push(ast::SelectItem::ExprWithAlias {
                expr: ast::Expr::CompoundIdentifier(parts.to_vec()),
                alias: ast::Ident::with_quote('"', &column),
            });
            shown.push(Named {
                alias: alias.name.value.clone(),
                column,
                ..table
            });
        }
        Ok(shown)
    }

    fn refused(&self, why: &str) -> Error {
        let words = format!("{} {why}", self.verb);
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, words)
    }
}
