//! Triggers.

use chronolith_catalog::{Database, Table, Trigger, View};
use chronolith_types::SchemaId;

use super::context::Context;
use super::describe::quoted;
use super::relation::Fill;
use super::rows::{NULL, Rows, count, row};
use crate::error::Error;
use crate::routines::timing as when;

pub(super) fn fill(name: &str) -> Option<Fill> {
    (name == "pg_trigger").then_some(triggers as Fill)
}

/// What has triggers.
#[derive(Debug, Clone, Copy)]
pub(super) enum On<'a> {
    Table(&'a Table),
    View(&'a View),
}

impl<'a> On<'a> {
    pub(super) fn oid(self) -> u32 {
        match self {
            Self::Table(table) => table.id.0,
            Self::View(view) => view.id.0,
        }
    }

    pub(super) fn schema(self) -> SchemaId {
        match self {
            Self::Table(table) => table.schema,
            Self::View(view) => view.schema,
        }
    }

    pub(super) fn name(self) -> &'a str {
        match self {
            Self::Table(table) => &table.name,
            Self::View(view) => &view.name,
        }
    }
}

pub(super) fn all(home: &Database) -> impl Iterator<Item = (On<'_>, &Trigger)> {
    home.triggers.iter().flat_map(|(id, triggers)| {
        let table = home.tables.get(id).map(|table| On::Table(table));
        let on = table.or_else(|| home.views.get(id).map(|view| On::View(view)));
        let of = move |trigger| Some((on?, trigger));
        triggers.iter().filter_map(of)
    })
}

fn triggers<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (on, trigger) in all(context.home()?) {
        let columns: Vec<i64> = trigger
            .columns
            .iter()
            .map(|column| i64::from(column.0))
            .collect();
        rows.push(row![
            trigger.id,
            on.oid(),
            0,
            &trigger.name,
            trigger.function.0,
            i32::from(trigger.bits()),
            trigger.enabled,
            false,
            trigger
                .constraint
                .and_then(|timing| timing.from)
                .map_or(0, |table| table.0),
            0,
            if trigger.constraint.is_some() {
                trigger.id
            } else {
                0
            },
            trigger.constraint.is_some_and(|timing| timing.deferrable),
            trigger.constraint.is_some_and(|timing| timing.deferred),
            count(trigger.args.len()),
            columns,
            NULL,
            trigger.condition.as_deref(),
            trigger.old_table.as_deref(),
            trigger.new_table.as_deref(),
        ]);
    }
    Ok(())
}

/// The rows of constraint triggers in `pg_constraint`.
pub(super) fn constraints<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for (on, trigger) in all(context.home()?) {
        let Some(timing) = trigger.constraint else {
            continue;
        };
        rows.push(row![
            trigger.id,
            &trigger.name,
            on.schema().0,
            't',
            timing.deferrable,
            timing.deferred,
            true,
            on.oid(),
            0,
            0,
            0,
            0,
            " ",
            " ",
            " ",
            true,
            0,
            true,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
        ]);
    }
    Ok(())
}

/// `pg_get_constraintdef` of a constraint trigger.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn constraintdef(context: &Context, oid: u32) -> Result<Option<String>, Error> {
    let mut found = all(context.home()?);
    let timing = found.find(|(_, trigger)| trigger.id == oid);
    let timing = timing.and_then(|(_, trigger)| trigger.constraint);
    Ok(timing.map(|timing| {
        let words = match (timing.deferrable, timing.deferred) {
            (false, _) => "",
            (true, false) => " DEFERRABLE",
            (true, true) => " DEFERRABLE INITIALLY DEFERRED",
        };
        format!("TRIGGER{words}")
    }))
}

/// A condition as it is shown: with parentheses around every operator.
fn shown(condition: &str) -> String {
    use chronolith_sql::ast::{BinaryOperator, Expr, UnaryOperator};
    fn alike<'e>(expr: &'e Expr, of: &BinaryOperator, found: &mut Vec<&'e Expr>) {
        match expr {
            Expr::BinaryOp { left, op, right } if op == of => {
                alike(left, of, found);
                alike(right, of, found);
            }
            other => found.push(other),
        }
    }
    fn written(expr: &Expr) -> String {
        match expr {
            Expr::Nested(inner) => written(inner),
            Expr::BinaryOp {
                op: op @ (BinaryOperator::And | BinaryOperator::Or),
                ..
            } => {
                let mut parts = Vec::new();
                alike(expr, op, &mut parts);
                let parts: Vec<String> = parts.into_iter().map(written).collect();
                format!("({})", parts.join(&format!(" {op} ")))
            }
            Expr::BinaryOp { left, op, right } => {
                format!("({} {op} {})", written(left), written(right))
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } => format!("(NOT {})", written(expr)),
            Expr::IsDistinctFrom(left, right) => {
                format!("({} IS DISTINCT FROM {})", written(left), written(right))
            }
            Expr::IsNotDistinctFrom(left, right) => {
                format!(
                    "(NOT ({} IS DISTINCT FROM {}))",
                    written(left),
                    written(right)
                )
            }
            Expr::IsNull(inner) => format!("({} IS NULL)", written(inner)),
            Expr::IsNotNull(inner) => format!("({} IS NOT NULL)", written(inner)),
            other => other.to_string(),
        }
    }
    match chronolith_sql::expression(condition) {
        Ok(expr) => written(&expr),
        // It was read when it was made; as it was written it is right all the same.
        Err(_) => condition.to_owned(),
    }
}

/// `pg_get_triggerdef(oid, pretty)`.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn triggerdef(
    context: &Context,
    oid: u32,
    pretty: bool,
) -> Result<Option<String>, Error> {
    let home = context.home()?;
    let Some((on, trigger)) = all(home).find(|(_, trigger)| trigger.id == oid) else {
        return Ok(None);
    };
    let mut events = Vec::new();
    if trigger.insert {
        events.push("INSERT".to_owned());
    }
    if trigger.delete {
        events.push("DELETE".to_owned());
    }
    if trigger.update {
        let columns = match on {
            On::Table(table) => table.columns.as_slice(),
            On::View(_) => &[],
        };
        let named: Vec<String> = columns
            .iter()
            .filter(|column| trigger.columns.contains(&column.id))
            .map(|column| quoted(&column.name).into_owned())
            .collect();
        events.push(match named.is_empty() {
            true => "UPDATE".to_owned(),
            false => format!("UPDATE OF {}", named.join(", ")),
        });
    }
    if trigger.truncate {
        events.push("TRUNCATE".to_owned());
    }
    let schema = |id| {
        home.schemas
            .get(&id)
            .map_or("", |schema| schema.name.as_str())
    };
    let seen = |id| context.search_path.iter().any(|name| name == schema(id));
    let spelled = |id, name: &str, bare: bool| match bare {
        true => quoted(name).into_owned(),
        false => format!("{}.{}", quoted(schema(id)), quoted(name)),
    };
    let of = spelled(on.schema(), on.name(), pretty && seen(on.schema()));
    let called = home.routines.get(&trigger.function);
    let called = called.map_or_else(String::new, |routine| {
        spelled(routine.schema, &routine.name, seen(routine.schema))
    });
    let mut timing = String::new();
    if let Some(of) = trigger.constraint {
        if let Some(from) = of.from.and_then(|id| home.tables.get(&id)) {
            let name = spelled(from.schema, &from.name, pretty && seen(from.schema));
            timing.push_str(&format!("FROM {name} "));
        }
        if !of.deferrable {
            timing.push_str("NOT ");
        }
        timing.push_str(match of.deferred {
            true => "DEFERRABLE INITIALLY DEFERRED ",
            false => "DEFERRABLE INITIALLY IMMEDIATE ",
        });
    }
    let mut referencing = String::new();
    for (which, name) in [("OLD", &trigger.old_table), ("NEW", &trigger.new_table)] {
        if let Some(name) = name {
            if referencing.is_empty() {
                referencing.push_str("REFERENCING ");
            }
            referencing.push_str(&format!("{which} TABLE AS {} ", quoted(name)));
        }
    }
    let condition = trigger.condition.as_ref();
    let condition = condition.map_or_else(String::new, |text| {
        let known = match on {
            On::Table(table) => (context.condition)(table, text, pretty),
            On::View(_) => None,
        };
        format!("WHEN ({}) ", known.unwrap_or_else(|| shown(text)))
    });
    let args: Vec<String> = trigger
        .args
        .iter()
        .map(|arg| format!("'{}'", arg.replace('\'', "''")))
        .collect();
    Ok(Some(format!(
        "CREATE {}TRIGGER {} {} {} ON {of} {timing}{referencing}FOR EACH {} {condition}EXECUTE FUNCTION {called}({})",
        match trigger.constraint {
            Some(_) => "CONSTRAINT ",
            None => "",
        },
        quoted(&trigger.name),
        when(trigger),
        events.join(" OR "),
        if trigger.row { "ROW" } else { "STATEMENT" },
        args.join(", ")
    )))
}
