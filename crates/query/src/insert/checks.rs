//! What a table makes of new rows, and asks of them: defaults, generated columns, NOT NULL, checks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Schema;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use chronolith_catalog::{Column, Constraint, ConstraintKind, Table};
use chronolith_types::{SqlState, SqlType, TimeZone};
use datafusion::common::DFSchema;
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::PhysicalExpr;

use super::bind::target_of;
use super::domains::Domains;
use super::unique::Uniques;
use crate::bind::{Names, bind_assigned, bind_over, bind_scalar};
use crate::dml::computes;
use crate::error::Error;
use crate::evaluate::{computable, props_of};
use crate::references::Outgoing;
use crate::session::{SessionNames, Shared};
use crate::value::{is_null, write_text};

/// The rules of a table, bound: they outlive the statement that first asked for them.
pub(crate) struct Rules {
    /// What they were bound in: of the catalog, the search path and the role.
    version: u64,
    search_path: Arc<[String]>,
    user: String,
    /// What they were bound from.
    columns: Vec<Column>,
    constraints: Vec<Constraint>,
    checks: Vec<(String, Expr)>,
    /// By the places of their columns.
    generated: Vec<(usize, Expr)>,
    /// Of the columns that have one, identity columns too.
    defaults: Vec<(usize, Expr)>,
    /// Whether checks and generated columns compute, and ask nobody.
    computes: bool,
}

impl Rules {
    fn bind(shared: &Arc<Shared>, table: &Table) -> Result<Self, Error> {
        let names = SessionNames::new(shared)?;
        let mut rules = Self {
            columns: table.columns.clone(),
            constraints: table.constraints.clone(),
            ..Self::none()
        };
        // PostgreSQL holds them in the order of their names.
        let mut constraints: Vec<&Constraint> = table.constraints.iter().collect();
        constraints.sort_by(|one, other| one.name.cmp(&other.name));
        for constraint in constraints {
            if let ConstraintKind::Check { expression } = &constraint.kind {
                let expr = check_expr(&names, table, expression)?;
                rules.checks.push((constraint.name.clone(), expr));
            }
        }
        for (place, column) in table.columns.iter().enumerate() {
            if let Some(text) = &column.generated {
                let expr = generated_expr(&names, table, column, text)?;
                rules.generated.push((place, expr));
            }
            let target = target_of(&names, column)?;
            if let Some(default) = &target.default {
                let expr = bind_scalar(&names, default, Some(&target))?.expr;
                rules.defaults.push((place, expr));
            }
        }
        let checks = rules.checks.iter().map(|(_, expr)| expr);
        let mut exprs = checks.chain(rules.generated.iter().map(|(_, expr)| expr));
        rules.computes = exprs.all(computes);
        Ok(rules)
    }

    /// Those of a table, as the session sees it now.
    fn of(shared: &Arc<Shared>, table: &Table) -> Result<Arc<Self>, Error> {
        let plain = |column: &Column| {
            column.default.is_none()
                && column.domain.is_none()
                && column.identity.is_none()
                && column.generated.is_none()
        };
        let check = |of: &Constraint| matches!(of.kind, ConstraintKind::Check { .. });
        if table.columns.iter().all(plain) && !table.constraints.iter().any(check) {
            return Ok(Arc::new(Self::none()));
        }
        let (version, search_path) = (shared.catalog().version, shared.search_path());
        let known = shared.with(|state| {
            let rules = state.rules.get(&table.id)?;
            (rules.user == state.user).then(|| Arc::clone(rules))
        });
        let same = |rules: &Arc<Self>| {
            rules.version == version
                && rules.search_path == search_path
                && rules.columns == table.columns
                && rules.constraints == table.constraints
        };
        if let Some(rules) = known.filter(same) {
            return Ok(rules);
        }
        let mut rules = Self::bind(shared, table)?;
        rules.user = shared.with(|state| state.user.clone());
        (rules.version, rules.search_path) = (version, search_path);
        let rules = Arc::new(rules);
        shared.with(|state| {
            const TABLES_MAX: usize = 64;
            if state.rules.len() >= TABLES_MAX {
                state.rules.clear();
            }
            state.rules.insert(table.id, Arc::clone(&rules));
        });
        Ok(rules)
    }

    fn none() -> Self {
        Self {
            version: 0,
            search_path: Arc::default(),
            user: String::new(),
            columns: Vec::new(),
            constraints: Vec::new(),
            checks: Vec::new(),
            generated: Vec::new(),
            defaults: Vec::new(),
            computes: true,
        }
    }
}

/// What is wrong with a row.
enum Fault<'a> {
    Null(&'a Column),
    Check(&'a str),
}

/// What a table makes of new rows and asks of them, ready for one statement.
pub(crate) struct Checks {
    table: Arc<Table>,
    schema: Option<String>,
    checks: Vec<(String, Arc<dyn PhysicalExpr>)>,
    generated: Vec<(usize, Arc<dyn PhysicalExpr>)>,
    defaults: Vec<(usize, Arc<dyn PhysicalExpr>)>,
    outgoing: Option<Outgoing>,
    uniques: Option<Uniques>,
    domains: Domains,
    zone: TimeZone,
    /// Whether its expressions compute, and ask nobody.
    computes: bool,
}

impl Checks {
    /// Of rows that come with all columns but the generated ones.
    pub(crate) fn of(shared: &Arc<Shared>, table: &Arc<Table>) -> Result<Self, Error> {
        Self::filling(shared, table, &[])
    }

    /// Of rows whose columns at some places are to get their defaults.
    pub(crate) fn filling(
        shared: &Arc<Shared>,
        table: &Arc<Table>,
        missing: &[usize],
    ) -> Result<Self, Error> {
        let rules = Rules::of(shared, table)?;
        let home = shared.home()?;
        let schema = home.schemas.get(&table.schema);
        let mut ready = Self {
            table: Arc::clone(table),
            schema: schema.map(|schema| schema.name.clone()),
            checks: Vec::with_capacity(rules.checks.len()),
            generated: Vec::with_capacity(rules.generated.len()),
            defaults: Vec::with_capacity(missing.len()),
            outgoing: Outgoing::of(shared, table)?,
            uniques: Uniques::of(shared, table)?,
            domains: Domains::of(shared, table)?,
            zone: shared.time_zone(),
            computes: rules.computes,
        };
        let wanted = |place: &usize| missing.contains(place);
        if rules.checks.is_empty()
            && rules.generated.is_empty()
            && !rules.defaults.iter().any(|(place, _)| wanted(place))
        {
            return Ok(ready);
        }
        let props = props_of(shared.vars());
        let layout = chronolith_engine::layout_for(table);
        let columns = DFSchema::try_from(layout.schema().as_ref().clone())?;
        for (name, expr) in &rules.checks {
            let expr = computable(expr, &columns, &props)?;
            ready.checks.push((name.clone(), expr));
        }
        for (place, expr) in &rules.generated {
            let expr = computable(expr, &columns, &props)?;
            ready.generated.push((*place, expr));
        }
        let nothing = DFSchema::empty();
        for (place, expr) in rules.defaults.iter().filter(|(place, _)| wanted(place)) {
            let expr = computable(expr, &nothing, &props)?;
            ready.defaults.push((*place, expr));
        }
        Ok(ready)
    }

    /// The rows with their missing defaults and their generated columns, held against all that the
    /// table asks of each row by itself.
    ///
    /// # Errors
    /// 23502, 23514, and what an expression meets.
    pub(crate) fn complete(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        let batch = self.computed(batch)?;
        self.hold(&batch)?;
        Ok(batch)
    }

    /// The same of rows that were there before, and of which some columns are set.
    pub(crate) fn of_set(mut self, sets: &[usize]) -> Self {
        let outgoing = self.outgoing.take();
        self.outgoing = outgoing.and_then(|of| of.of_set(&self.table, sets));
        self.uniques = self.uniques.take().map(|of| of.of_set(sets));
        self
    }

    /// Whether all that is asked of rows is computed of each by itself, and nobody is asked.
    pub(crate) fn only_compute(&self) -> bool {
        self.computes
            && self.outgoing.is_none()
            && self.uniques.is_none()
            && self.domains.is_empty()
    }

    /// Keys that its chunks do not keep by themselves.
    pub(crate) fn uniques(&self) -> Option<&Uniques> {
        self.uniques.as_ref()
    }

    /// Takes note of what rows refer to that the table gets.
    ///
    /// # Errors
    /// 23503 for a key that is partly NULL where it must not be.
    pub(crate) fn note(&self, batch: &RecordBatch) -> Result<(), Error> {
        if let Some(uniques) = &self.uniques {
            uniques.note(batch)?;
        }
        match &self.outgoing {
            Some(outgoing) => outgoing.note(batch),
            None => Ok(()),
        }
    }

    /// All rows of the statement are in the transaction: looks whether what they refer to is there.
    ///
    /// # Errors
    /// 23503
    pub(crate) fn settle(&self, shared: &Shared) -> Result<(), Error> {
        if let Some(uniques) = &self.uniques {
            uniques.settle(shared)?;
        }
        match &self.outgoing {
            Some(outgoing) => outgoing.settle(shared),
            None => Ok(()),
        }
    }

    /// The rows with their missing defaults and their generated columns.
    ///
    /// # Errors
    /// What an expression meets.
    pub(crate) fn computed(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        self.generated(&self.filled(batch)?)
    }

    /// The rows with their missing defaults.
    ///
    /// # Errors
    /// What an expression meets.
    fn filled(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        if self.defaults.is_empty() {
            return Ok(batch.clone());
        }
        let rows = batch.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let nothing = Arc::new(Schema::empty());
        let nothing = RecordBatch::try_new_with_options(nothing, Vec::new(), &options)?;
        let mut columns = batch.columns().to_vec();
        for (place, expr) in &self.defaults {
            put(
                &mut columns,
                *place,
                expr.evaluate(&nothing)?.into_array(rows)?,
            );
        }
        let schema = batch.schema();
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }

    fn generated(&self, batch: &RecordBatch) -> Result<RecordBatch, Error> {
        if self.generated.is_empty() {
            return Ok(batch.clone());
        }
        let rows = batch.num_rows();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let mut columns = batch.columns().to_vec();
        for (place, expr) in &self.generated {
            put(
                &mut columns,
                *place,
                expr.evaluate(batch)?.into_array(rows)?,
            );
        }
        let schema = batch.schema();
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }

    /// The same of rows that were read as they are, of whose values nobody has asked anything.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub(crate) fn hold_read(&self, batch: &RecordBatch) -> Result<(), Error> {
        self.domains.hold_within(batch)?;
        self.hold(batch)
    }

    /// 23502 for NULL where there may be none, 23514 for a row that a check refuses; NULL is not
    /// refused by a check. The first row at fault is told of, and of that what is asked first.
    ///
    /// # Errors
    /// Those, and what an expression meets.
    pub(crate) fn hold(&self, batch: &RecordBatch) -> Result<(), Error> {
        self.domains.hold(batch)?;
        let mut found: Option<(usize, Fault<'_>)> = None;
        let mut note = |row: usize, fault| {
            if found.as_ref().is_none_or(|(before, _)| row < *before) {
                found = Some((row, fault));
            }
        };
        for (column, values) in self.table.columns.iter().zip(batch.columns()) {
            if column.not_null && values.null_count() > 0 {
                let first = (0..values.len()).find(|row| values.is_null(*row));
                note(first.unwrap_or(0), Fault::Null(column));
            }
        }
        for (name, check) in &self.checks {
            let answer = check.evaluate(batch)?.into_array(batch.num_rows())?;
            let Some(answer) = answer.as_boolean_opt() else {
                continue;
            };
            let refused = |row: &usize| answer.is_valid(*row) && !answer.value(*row);
            if let Some(row) = (0..answer.len()).find(refused) {
                note(row, Fault::Check(name));
            }
        }
        match found {
            None => Ok(()),
            Some((row, fault)) => Err(self.violation(&fault, batch, row)),
        }
    }

    /// Holds them against the rows that a table has.
    ///
    /// # Errors
    /// As [`Self::hold`].
    pub(crate) fn hold_all(&self, shared: &Arc<Shared>) -> Result<(), Error> {
        let id = self.table.id;
        let view = shared.transact(|transaction| Ok::<_, Error>(transaction.table(id)))?;
        let Some(view) = view else {
            return Ok(());
        };
        let all = chronolith_chunk::ScanRequest::all((0..view.layout.columns.len()).collect());
        for (_, chunk) in view.chunks.iter() {
            for batch in chunk.scan(&view.layout, &all) {
                self.hold(&batch?)?;
            }
        }
        Ok(())
    }

    fn violation(&self, fault: &Fault<'_>, batch: &RecordBatch, row: usize) -> Error {
        let table = &self.table.name;
        let mut error = match fault {
            Fault::Null(column) => Error {
                column: Some(column.name.clone()),
                ..Error::new(
                    SqlState::NOT_NULL_VIOLATION,
                    format!(
                        "null value in column \"{}\" of relation \"{table}\" violates not-null constraint",
                        column.name
                    ),
                )
            },
            Fault::Check(name) => Error {
                constraint: Some((*name).to_owned()),
                ..Error::new(
                    SqlState::CHECK_VIOLATION,
                    format!(
                        "new row for relation \"{table}\" violates check constraint \"{name}\""
                    ),
                )
            },
        };
        if let Ok(shown) = self.shown(batch, row) {
            error.detail = Some(format!("Failing row contains ({shown})."));
        }
        error.table = Some(table.clone());
        error.schema.clone_from(&self.schema);
        error
    }

    /// 44000 for the row of a batch that a view does not show through which it was written.
    pub(crate) fn not_shown(&self, view: &str, batch: &RecordBatch) -> Error {
        let mut error = Error::new(
            SqlState::new(b"44000"),
            format!("new row violates check option for view \"{view}\""),
        );
        if let Ok(shown) = self.shown(batch, 0) {
            error.detail = Some(format!("Failing row contains ({shown})."));
        }
        error
    }

    /// A row as messages show it: long values are cut.
    fn shown(&self, batch: &RecordBatch, row: usize) -> Result<String, Error> {
        const BYTES_MAX: usize = 64;
        let mut shown = Vec::with_capacity(batch.num_columns());
        for (column, values) in self.table.columns.iter().zip(batch.columns()) {
            if is_null(values, row) {
                shown.push("null".to_owned());
                continue;
            }
            let mut text = Vec::new();
            write_text(values, row, &column.ty, &self.zone, &mut text)?;
            let mut text = String::from_utf8_lossy(&text).into_owned();
            if text.len() > BYTES_MAX {
                let mut end = BYTES_MAX;
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                text.truncate(end);
                text.push_str("...");
            }
            shown.push(text);
        }
        Ok(shown.join(", "))
    }
}

fn put(columns: &mut [ArrayRef], place: usize, values: ArrayRef) {
    if let Some(column) = columns.get_mut(place) {
        *column = values;
    }
}

/// A check over its table's columns.
///
/// # Errors
/// What PostgreSQL says of the expression; 42804 when it is not a Boolean.
pub(crate) fn check_expr(names: &dyn Names, table: &Table, text: &str) -> Result<Expr, Error> {
    let tree = chronolith_sql::expression(text)?;
    let typed = bind_over(names, &tree, &table.name, &columns_of(table))?;
    if typed.ty != SqlType::Bool {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!(
                "argument of CHECK must be type boolean, not type {}",
                typed.ty
            ),
        ));
    }
    Ok(typed.expr)
}

/// What a generated column is computed by.
///
/// # Errors
/// What PostgreSQL says of the expression; 42P17 for one that may change by itself.
pub(crate) fn generated_expr(
    names: &dyn Names,
    table: &Table,
    column: &Column,
    text: &str,
) -> Result<Expr, Error> {
    let tree = chronolith_sql::expression(text)?;
    let others: Vec<_> = columns_of(table);
    let target = crate::bind::Target {
        name: column.name.clone(),
        ty: column.ty.clone(),
        default: None,
    };
    let typed = bind_assigned(
        names,
        &tree,
        &table.name,
        &others,
        &target,
        crate::bind::Alone::Generated,
    );
    // PostgreSQL asks what the expression may be before it asks whether it fits the column.
    if typed.is_err()
        && let Ok(bare) = crate::bind::bind_over(names, &tree, &table.name, &others)
        && !super::values::fixed(&bare.expr)?
    {
        return Err(not_fixed());
    }
    let typed = typed?;
    for name in typed.expr.column_refs() {
        let of = table.column_named(&name.name).map(|(_, column)| column);
        if of.is_some_and(|of| of.generated.is_some() || of.id == column.id) {
            return Err(Error::new(
                SqlState::INVALID_OBJECT_DEFINITION,
                format!(
                    "cannot use generated column \"{}\" in column generation expression",
                    name.name
                ),
            )
            .detail("A generated column cannot reference another generated column."));
        }
    }
    if !super::values::fixed(&typed.expr)? {
        return Err(not_fixed());
    }
    Ok(typed.expr)
}

fn not_fixed() -> Error {
    Error::new(
        SqlState::INVALID_OBJECT_DEFINITION,
        "generation expression is not immutable",
    )
}

pub(crate) fn columns_of(table: &Table) -> Vec<(String, SqlType, arrow::datatypes::DataType)> {
    let columns = table.columns.iter();
    columns
        .map(|column| (column.name.clone(), column.ty.clone(), column.ty.arrow()))
        .collect()
}
