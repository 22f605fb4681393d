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

/// What is asked of a query: its tables with those of the subqueries in its FROM, which are made to
/// say where their rows lie.
pub(super) struct From<'w> {
    names: &'w SessionNames,
    /// Queries of WITH: they have no rows to lock.
    with: Vec<String>,
    /// How many columns subqueries got.
    shown: usize,
    /// The aliases that clauses name; None for all.
    wanted: Option<Vec<String>>,
    verb: &'static str,
    /// Whether the query is a view's, of which no clause was written.
    of_view: bool,
    bare: Vec<Bare>,
}

/// What the clauses of a query may mean.
pub(super) struct Lockable {
    pub(super) tables: Vec<Named>,
    pub(super) bare: Vec<Bare>,
}

/// What stands in FROM and has no rows to lock.
pub(super) struct Bare {
    pub(super) alias: String,
    /// What it is called, where no clause may name it.
    pub(super) what: Option<&'static str>,
    /// Whether a join may leave it without a row; of VALUES PostgreSQL does not ask.
    pub(super) nullable: bool,
    values: bool,
}

impl<'w> From<'w> {
    /// What the clauses of a query may mean.
    ///
    /// # Errors
    /// 0A000 for a subquery that is meant and whose rows cannot be locked.
    pub(super) fn of(
        names: &'w SessionNames,
        query: &mut ast::Query,
        with: &[String],
    ) -> Result<Lockable, Error> {
        let clauses = query.locks.iter().map(super::for_update::clause);
        let wanted: Option<Vec<String>> = clauses
            .map(|(wanted, _)| wanted.map(str::to_owned))
            .collect();
        let verb = query.locks.first().map(super::for_update::said);
        let mut own = Self {
            names,
            with: with.to_vec(),
            shown: 0,
            wanted,
            verb: verb.map_or("FOR UPDATE", |(verb, _)| verb),
            of_view: false,
            bare: Vec::new(),
        };
        let tables = match query.body.as_mut() {
            ast::SetExpr::Select(select) => own.of_select(select)?,
            _ => Vec::new(),
        };
        Ok(Lockable {
            tables,
            bare: own.bare,
        })
    }

    /// The tables whose rows a view's query shows, which it says behind its columns.
    ///
    /// # Errors
    /// 0A000 for a view whose rows cannot be locked.
    pub(super) fn of_view(
        names: &'w SessionNames,
        query: &mut ast::Query,
        verb: &'static str,
    ) -> Result<Vec<Named>, Error> {
        let mut own = Self {
            names,
            with: Vec::new(),
            shown: 0,
            wanted: None,
            verb,
            of_view: true,
            bare: Vec::new(),
        };
        let found = own.places(query)?;
        for (at, table) in (1..).zip(&found) {
            show(query, table, &column(at, found.len()));
        }
        Ok(found)
    }

    fn of_select(&mut self, select: &mut ast::Select) -> Result<Vec<Named>, Error> {
        let mut found = Vec::new();
        for from in &mut select.from {
            found.extend(self.of_joins(from)?);
        }
        Ok(found)
    }

    fn of_joins(&mut self, from: &mut ast::TableWithJoins) -> Result<Vec<Named>, Error> {
        let first = self.bare.len();
        let mut found = self.of_factor(&mut from.relation)?;
        for join in &mut from.joins {
            let (left, right) = nullable(&join.join_operator);
            for before in &mut found {
                before.nullable |= left;
            }
            let joined = self.bare.len();
            let more = self.of_factor(&mut join.relation)?.into_iter();
            for (at, bare) in self.bare.iter_mut().enumerate().skip(first) {
                bare.nullable |= !bare.values
                    && match at < joined {
                        true => left,
                        false => right,
                    };
            }
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
            ast::TableFactor::Table {
                alias: Some(alias),
                args: Some(_),
                ..
            }
            | ast::TableFactor::Function {
                alias: Some(alias), ..
            } => {
                self.bare(&alias.name.value, Some("a function"), false);
                Ok(Vec::new())
            }
            factor => match Named::of(factor) {
                Some(table) => self.of_relation(table),
                None => Ok(Vec::new()),
            },
        }
    }

    /// The tables that a relation shows rows of.
    fn of_relation(&mut self, table: Named) -> Result<Vec<Named>, Error> {
        let is_query = table.schema.is_none() && self.with.contains(&table.table);
        if is_query || !self.means(&table.alias) {
            return Ok(vec![table]);
        }
        let count = tables_of(self.names, table.schema.as_deref(), &table.table, self.verb)?;
        if count == 0 {
            self.bare(&table.alias, None, false);
        }
        let of = |number: usize| Named {
            column: column(number + 1, count),
            number,
            ..table.clone()
        };
        Ok((0..count).map(of).collect())
    }

    fn bare(&mut self, alias: &str, what: Option<&'static str>, values: bool) {
        self.bare.push(Bare {
            alias: alias.to_owned(),
            what,
            nullable: false,
            values,
        });
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
        let alias = &alias.name.value;
        let mut found = self.places(subquery)?;
        if found.is_empty() {
            let values = matches!(subquery.body.as_ref(), ast::SetExpr::Values(_));
            self.bare(alias, None, values);
        }
        for table in &mut found {
            self.shown += 1;
            let column = format!("{LOCATOR}{}", self.shown);
            show(subquery, table, &column);
            table.alias.clone_from(alias);
            table.column = column;
        }
        Ok(found)
    }

    /// The tables whose rows a query shows, by its own names for them.
    fn places(&mut self, query: &mut ast::Query) -> Result<Vec<Named>, Error> {
        if !query.locks.is_empty() {
            let what = match self.of_view {
                true => "view",
                false => "subquery",
            };
            return Err(Error::unsupported(format!(
                "{} of a {what} that locks rows too",
                self.verb
            )));
        }
        open(query);
        let known = self.with.len();
        let with = query.with.iter().flat_map(|with| &with.cte_tables);
        self.with
            .extend(with.map(|cte| cte.alias.name.value.clone()));
        let wanted = self.wanted.take();
        let bare = self.bare.len();
        let found = match query.body.as_mut() {
            ast::SetExpr::Select(select) => self.of_select(select),
            _ => Ok(Vec::new()),
        };
        let subqueries = self.bare.split_off(bare).into_iter();
        let subqueries: Vec<Bare> = subqueries.filter(|bare| bare.what.is_none()).collect();
        self.wanted = wanted;
        let mut found = found?;
        let with = &self.with;
        found.retain(|table| table.schema.is_some() || !with.contains(&table.table));
        self.with.truncate(known);
        // Of a view PostgreSQL asks only what has rows to lock, and looks into no UNION.
        let asked = match query.body.as_ref() {
            ast::SetExpr::Values(_) => false,
            _ => !self.of_view || !found.is_empty() || !subqueries.is_empty(),
        };
        if !asked {
            return Ok(found);
        }
        if let Some(what) = unfit(query) {
            return Err(self.refused(&format!("is not allowed with {what}")));
        }
        if over(query) {
            return Err(self.refused("is not allowed with window functions"));
        }
        let mut nullable = found.iter().map(|table| table.nullable);
        if nullable.any(|is| is) || subqueries.iter().any(|bare| bare.nullable) {
            return Err(self.refused("cannot be applied to the nullable side of an outer join"));
        }
        Ok(found)
    }

    fn refused(&self, why: &str) -> Error {
        let words = format!("{} {why}", self.verb);
        Error::new(SqlState::FEATURE_NOT_SUPPORTED, words)
    }
}

/// Takes a query out of the parentheses that are all of another.
pub(super) fn open(query: &mut ast::Query) {
    let cut = |query: &ast::Query| query.limit_clause.is_some() || query.fetch.is_some();
    loop {
        let (sorted, cuts) = (query.order_by.is_some(), cut(query));
        let ast::SetExpr::Query(inner) = query.body.as_mut() else {
            return;
        };
        let both = (sorted && inner.order_by.is_some()) || (cut(inner) && (sorted || cuts));
        if both || inner.with.is_some() || !inner.locks.is_empty() {
            return;
        }
        let inner = std::mem::replace(inner.as_mut(), nothing());
        query.body = inner.body;
        query.order_by = query.order_by.take().or(inner.order_by);
        query.limit_clause = query.limit_clause.take().or(inner.limit_clause);
        query.fetch = query.fetch.take().or(inner.fetch);
    }
}

fn nothing() -> ast::Query {
    let none = ast::Values {
        explicit_row: false,
        value_keyword: false,
        rows: Vec::new(),
    };
    ast::Query {
        with: None,
        body: Box::new(ast::SetExpr::Values(none)),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

/// Whether what a query shows may have window functions.
pub(super) fn over(query: &ast::Query) -> bool {
    let ast::SetExpr::Select(select) = query.body.as_ref() else {
        return false;
    };
    let mut items = select.projection.iter();
    items.any(|item| item.to_string().to_lowercase().contains(" over "))
}

/// Makes a query say where the rows of a table lie.
fn show(query: &mut ast::Query, table: &Named, column: &str) {
    if let ast::SetExpr::Select(select) = query.body.as_mut() {
        let parts = [table.alias.as_str(), table.column.as_str()];
        let parts = parts.map(|part| ast::Ident::with_quote('"', part));
        select.projection.push(ast::SelectItem::ExprWithAlias {
            expr: ast::Expr::CompoundIdentifier(parts.to_vec()),
            alias: ast::Ident::with_quote('"', column),
        });
    }
}
