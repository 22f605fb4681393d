//! Objects as the SQL that makes them.

use chronolith_catalog::{Constraint, ConstraintKind, Index, KeyMarks, Reference, Table, View};
use chronolith_types::{SqlType, TimeZone, datetime};

use super::names::{full_name, quoted, shown_name};
use crate::bind::Writes;
use crate::catalogs::constraints::{self, Shown};
use crate::catalogs::context::Context;
use crate::catalogs::objects::{self, IndexKey, Relation, index_keys};
use crate::catalogs::routines;
use crate::error::Error;
use crate::functions::{Imp, ProcKind, Volatile};
use crate::references;

/// Whether an expression in parentheses is a call, which an index shows without them.
pub(crate) fn is_call(expression: &str) -> bool {
    let name = expression.split('(').next().unwrap_or_default();
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.'));
    // The first parenthesis must be closed by the last one.
    let mut depth = 0;
    let mut quote = false;
    let mut closed = 0;
    for c in expression.chars() {
        match c {
            '\'' => quote = !quote,
            '(' if !quote => depth += 1,
            ')' if !quote => {
                depth -= 1;
                closed += usize::from(depth == 0);
            }
            _ => {}
        }
    }
    plain && closed == 1 && expression.ends_with(')')
}

/// The key of an index: a column's name, a call, or another expression in parentheses.
fn key_text(context: &Context, table: &Table, key: &IndexKey<'_>, pretty: bool) -> String {
    if key.attribute != 0 {
        return quoted(key.text).into_owned();
    }
    let text = (context.expression)(table, key.text, None, pretty);
    if is_call(&text) {
        text
    } else {
        format!("({text})")
    }
}

/// The expressions among the keys of an index.
pub(in crate::catalogs) fn key_expressions(
    context: &Context,
    table: &Table,
    index: &Index,
) -> Option<String> {
    let keys = index_keys(table, index);
    let texts: Vec<String> = keys
        .iter()
        .filter(|key| key.attribute == 0)
        .map(|key| (context.expression)(table, key.text, None, false))
        .collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

/// CREATE INDEX as it could be said; with the table's schema, or only where it is needed.
pub(in crate::catalogs) fn index_text(
    context: &Context,
    table: &Table,
    index: &Index,
    qualified: bool,
) -> String {
    let keys: Vec<String> = index_keys(table, index)
        .iter()
        .map(|key| {
            let text = key_text(context, table, key, !qualified);
            format!("{text}{}", behind_key(key))
        })
        .collect();
    let relation = Relation::Table(table);
    let on = match context.home() {
        Ok(home) if qualified => full_name(home, relation),
        Ok(home) => shown_name(context, home, relation),
        Err(_) => quoted(&table.name).into_owned(),
    };
    let unique = if index.unique { "UNIQUE " } else { "" };
    let predicate = match &index.predicate {
        Some(predicate) => {
            let shown = (context.expression)(table, predicate, None, !qualified);
            format!(" WHERE {shown}")
        }
        None => String::new(),
    };
    let include: Vec<_> = index.include.iter().map(|name| quoted(name)).collect();
    let include = match include.is_empty() {
        true => String::new(),
        false => format!(" INCLUDE ({})", include.join(", ")),
    };
    let options = options_text(index);
    let nulls = match index.nulls_alike {
        true => " NULLS NOT DISTINCT",
        false => "",
    };
    format!(
        "CREATE {unique}INDEX {} ON {on} USING {} ({}){include}{nulls}{options}{predicate}",
        quoted(&index.name),
        index.method,
        keys.join(", ")
    )
}

/// What is said of a key of an index behind it: how it is compared, and its order.
fn behind_key(key: &IndexKey<'_>) -> String {
    let order = match (key.descending, key.nulls_first) {
        (false, false) => "",
        (false, true) => " NULLS FIRST",
        (true, true) => " DESC",
        (true, false) => " DESC NULLS LAST",
    };
    let marks = key.marks.map_or_else(String::new, marks_text);
    format!("{marks}{order}")
}

/// WITH of an index.
fn options_text(index: &Index) -> String {
    let options = index.options.iter();
    let options = options.map(|(name, value)| format!("{name}='{value}'"));
    let options: Vec<_> = options.collect();
    match options.is_empty() {
        true => String::new(),
        false => format!(" WITH ({})", options.join(", ")),
    }
}

/// `pg_get_indexdef(oid, column, pretty)`; column 0 is the whole definition.
pub(crate) fn indexdef(
    context: &Context,
    oid: u32,
    column: i32,
    pretty: bool,
) -> Result<Option<String>, Error> {
    let Some(Relation::Index(table, index)) = objects::by_oid(context, oid)? else {
        return Ok(None);
    };
    if column == 0 {
        return Ok(Some(index_text(context, table, index, !pretty)));
    }
    let place = usize::try_from(column - 1).ok();
    let keys = index_keys(table, index);
    let key = place.and_then(|place| keys.get(place));
    let behind = place.and_then(|place| index.include.get(place.checked_sub(keys.len())?));
    Ok(Some(match (key, behind) {
        (Some(key), _) => key_text(context, table, key, pretty),
        (None, Some(name)) => quoted(name).into_owned(),
        (None, None) => String::new(),
    }))
}

/// COLLATE and the class of operators of a key, as they stand behind it.
fn marks_text(marks: &KeyMarks) -> String {
    let collation = marks.collation.iter();
    let collation = collation.map(|name| format!(" COLLATE {}", quoted(name)));
    let class = marks.class.iter().map(|name| format!(" {}", quoted(name)));
    collation.chain(class).collect()
}

/// What a check asks; None for another constraint.
pub(in crate::catalogs) fn check_text(
    context: &Context,
    shown: Shown<'_>,
    pretty: bool,
) -> Option<String> {
    match shown {
        Shown::Range(table, chunk) => {
            let range = range_text(context, chunk);
            Some((context.expression)(table, &range, None, pretty))
        }
        Shown::Declared(table, constraint) => match &constraint.kind {
            ConstraintKind::Check { expression } => {
                Some((context.expression)(table, expression, None, pretty))
            }
            _ => None,
        },
    }
}

/// `pg_get_expr(text, relation, pretty)`.
///
/// # Errors
/// 3D000 when the session's database was dropped.
pub(crate) fn expression(
    context: &Context,
    text: &str,
    relation: u32,
    pretty: bool,
) -> Result<String, Error> {
    Ok(match objects::by_oid(context, relation)? {
        Some(Relation::Table(table) | Relation::Chunk(table, ..)) if pretty => {
            (context.expression)(table, text, None, true)
        }
        _ => text.to_owned(),
    })
}

/// `pg_get_constraintdef(oid, pretty)`.
pub(crate) fn constraintdef(
    context: &Context,
    oid: u32,
    pretty: bool,
) -> Result<Option<String>, Error> {
    let found = constraints::shown(context)?.find(|shown| shown.oid() == oid);
    let check = |shown| {
        let text = check_text(context, shown, pretty).unwrap_or_default();
        format!("CHECK ({text})")
    };
    if found.is_none() {
        return crate::catalogs::triggers::constraintdef(context, oid);
    }
    Ok(found.map(|shown| match shown {
        Shown::Range(..) => check(shown),
        Shown::Declared(table, constraint) => marked(
            constraint,
            match &constraint.kind {
                ConstraintKind::PrimaryKey { columns } => {
                    let included = included(table, constraint);
                    format!("PRIMARY KEY ({}){included}", column_list(table, columns))
                }
                ConstraintKind::Unique { columns } => {
                    let alike = match constraint.marks.nulls_alike {
                        true => " NULLS NOT DISTINCT",
                        false => "",
                    };
                    let included = included(table, constraint);
                    format!("UNIQUE{alike} ({}){included}", column_list(table, columns))
                }
                ConstraintKind::Check { .. } => check(shown),
                ConstraintKind::ForeignKey(reference) => foreign_key(context, table, reference),
                ConstraintKind::Exclude { operators } => {
                    exclusion(context, table, (constraint, operators), pretty)
                }
            },
        ),
    }))
}

/// EXCLUDE by its index.
fn exclusion(
    context: &Context,
    table: &Table,
    (constraint, operators): (&Constraint, &[String]),
    pretty: bool,
) -> String {
    let mut indexes = table.indexes.iter();
    let Some(index) = indexes.find(|index| index.name == constraint.name) else {
        return String::new();
    };
    let keys = index_keys(table, index);
    let keys = keys.iter().zip(operators).map(|(key, operator)| {
        let text = key_text(context, table, key, pretty);
        format!("{text}{} WITH {operator}", behind_key(key))
    });
    let keys: Vec<_> = keys.collect();
    let predicate = index.predicate.as_ref().map(|predicate| {
        let shown = (context.expression)(table, predicate, None, pretty);
        format!(" WHERE ({shown})")
    });
    format!(
        "EXCLUDE USING {} ({}){}{}{}",
        index.method,
        keys.join(", "),
        included(table, constraint),
        options_text(index),
        predicate.unwrap_or_default()
    )
}

/// INCLUDE of the index that a key brings.
fn included(table: &Table, constraint: &Constraint) -> String {
    let index = table
        .indexes
        .iter()
        .find(|index| index.name == constraint.name);
    let names = index.map_or(&[][..], |index| index.include.as_slice());
    let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(" INCLUDE ({})", names.join(", ")),
    }
}

fn foreign_key(context: &Context, table: &Table, reference: &Reference) -> String {
    let home = context.home().ok();
    let parent = home.and_then(|home| home.tables.get(&reference.table));
    let (name, columns) = match (home, parent) {
        (Some(home), Some(parent)) => (
            shown_name(context, home, Relation::Table(parent)),
            column_list(parent, &reference.referred),
        ),
        _ => (String::new(), String::new()),
    };
    let actions = references::actions_text(reference, |columns| column_list(table, columns));
    format!(
        "FOREIGN KEY ({}) REFERENCES {name}({columns}){actions}",
        column_list(table, &reference.columns)
    )
}

/// A constraint's text with what else was said of it.
fn marked(constraint: &Constraint, mut text: String) -> String {
    let marks = constraint.marks;
    let words = [
        (marks.no_inherit, " NO INHERIT"),
        (marks.deferrable, " DEFERRABLE"),
        (marks.deferred, " INITIALLY DEFERRED"),
        (marks.not_valid, " NOT VALID"),
    ];
    for (_, word) in words.iter().filter(|(said, _)| *said) {
        text.push_str(word);
    }
    text
}

fn column_list(table: &Table, columns: &[chronolith_types::ColumnId]) -> String {
    let names: Vec<_> = columns
        .iter()
        .filter_map(|id| Some(quoted(&table.column(*id)?.name)))
        .collect();
    names.join(", ")
}

/// What the times of a chunk's rows satisfy.
pub(in crate::catalogs) fn range_text(context: &Context, relation: Relation<'_>) -> String {
    let Relation::Chunk(table, hypertable, chunk) = relation else {
        return String::new();
    };
    let Some(time) = table.column(hypertable.time) else {
        return String::new();
    };
    let zone = context.settings.get("TimeZone").and_then(TimeZone::parse);
    let bound = |value: i64| {
        let mut text = Vec::new();
        match time.ty {
            SqlType::Timestamptz(_) => {
                datetime::write_timestamptz(value, &zone.unwrap_or_default(), &mut text);
            }
            SqlType::Timestamp(_) => datetime::write_timestamp(value, &mut text),
            SqlType::Date => {
                let days = i32::try_from(value.div_euclid(86_400_000_000));
                datetime::write_date(days.unwrap_or(0), &mut text);
            }
            SqlType::Int4 => return value.to_string(),
            _ => text.extend(value.to_string().into_bytes()),
        }
        format!("'{}'::{}", String::from_utf8_lossy(&text), time.ty)
    };
    let name = quoted(&time.name);
    let mut ends = Vec::new();
    if chunk.range.start != i64::MIN {
        ends.push(format!("({name} >= {})", bound(chunk.range.start)));
    }
    if chunk.range.end != i64::MAX {
        ends.push(format!("({name} < {})", bound(chunk.range.end)));
    }
    if ends.is_empty() {
        return "true".to_owned();
    }
    ends.join(" AND ")
}

/// The query of a view, with its semicolon.
pub(in crate::catalogs) fn view_text(context: &Context, view: &View) -> String {
    let mut text = (context.view_query)(view, false, Some(0));
    text.push(';');
    text
}

/// `pg_get_viewdef(oid)`, in pretty form and with the lines so long, if it is said.
pub(crate) fn viewdef(
    context: &Context,
    oid: u32,
    pretty: bool,
    wrap: Option<i32>,
) -> Result<Option<String>, Error> {
    match objects::by_oid(context, oid)? {
        Some(Relation::View(view) | Relation::Kept(_, view)) => {
            // Below 0 nothing is broken, at 0 everything.
            let wrap = usize::try_from(wrap.unwrap_or(0)).ok();
            let mut text = (context.view_query)(view, pretty, wrap);
            text.push(';');
            Ok(Some(text))
        }
        _ => Ok(None),
    }
}

/// What can be written to a table or through a view; None for any other relation.
pub(crate) fn updatable(context: &Context, oid: u32) -> Result<Option<Writes>, Error> {
    Ok(match objects::by_oid(context, oid)? {
        Some(Relation::View(view)) => Some((context.view_writes)(view)),
        Some(Relation::Table(table) | Relation::Chunk(table, ..)) => Some(Writes {
            deletes: true,
            triggered: Default::default(),
            columns: vec![true; table.columns.len()],
        }),
        _ => None,
    })
}

/// `pg_get_ruledef(oid, pretty)`.
pub(crate) fn ruledef(context: &Context, oid: u32, pretty: bool) -> Result<Option<String>, Error> {
    let home = context.home()?;
    let views = &home.views;
    let view = views.values().find(|view| objects::rule(view.id.0) == oid);
    Ok(view.map(|view| {
        let relation = Relation::View(view);
        let name = match pretty {
            true => shown_name(context, home, relation),
            false => full_name(home, relation),
        };
        let query = (context.view_query)(view, pretty, Some(0));
        format!("CREATE RULE \"_RETURN\" AS\n    ON SELECT TO {name} DO INSTEAD {query};")
    }))
}

/// `pg_get_function_result(oid)`; None for a procedure.
pub(super) fn function_result(oid: u32) -> Option<String> {
    let proc = routines::proc(oid)?;
    if proc.kind == ProcKind::Procedure {
        return None;
    }
    if !proc.columns.is_empty() && proc.kind == ProcKind::SetReturning {
        let columns: Vec<String> = proc
            .columns
            .iter()
            .map(|(name, ty)| format!("{} {ty}", quoted(name)))
            .collect();
        return Some(format!("TABLE({})", columns.join(", ")));
    }
    let set = if proc.kind == ProcKind::SetReturning {
        "SETOF "
    } else {
        ""
    };
    Some(format!("{set}{}", proc.result))
}

/// `pg_get_function_arguments(oid)`, and of the identity: which are the same, as the text of a default
/// is not kept.
pub(super) fn function_arguments(oid: u32) -> Option<String> {
    let proc = routines::proc(oid)?;
    let words: Vec<String> = proc
        .args
        .iter()
        .enumerate()
        .map(|(place, ty)| {
            let variadic = proc.variadic.is_some() && place + 1 == proc.args.len();
            let mode = if variadic { "VARIADIC " } else { "" };
            let name = proc.arg_names.get(place).filter(|name| !name.is_empty());
            let name = name.map_or_else(String::new, |name| format!("{} ", quoted(name)));
            format!("{mode}{name}{ty}")
        })
        .collect();
    Some(words.join(", "))
}

/// `pg_get_functiondef(oid)`: the functions there are are the program's own.
pub(super) fn functiondef(oid: u32) -> Option<String> {
    let proc = routines::proc(oid)?;
    let kind = match proc.kind {
        ProcKind::Procedure => "PROCEDURE",
        ProcKind::Scalar | ProcKind::SetReturning => "FUNCTION",
        ProcKind::Aggregate | ProcKind::Window => return None,
    };
    let returns = function_result(oid).map_or_else(String::new, |ty| format!("\n RETURNS {ty}"));
    let volatility = match proc.volatility {
        Volatile::Immutable => " IMMUTABLE",
        Volatile::Stable => " STABLE",
        Volatile::Volatile => "",
    };
    let strict = if proc.strict { " STRICT" } else { "" };
    let parallel = match proc.imp {
        Imp::Effect(_) => "",
        _ => " PARALLEL SAFE",
    };
    let marks = format!("{volatility}{parallel}{strict}");
    let marks = match marks.is_empty() {
        true => String::new(),
        false => format!("\n{marks}"),
    };
    Some(format!(
        "CREATE OR REPLACE {kind} {}.{}({}){returns}\n LANGUAGE internal{marks}\nAS $function${}$function$\n",
        proc.schema,
        quoted(proc.name),
        function_arguments(oid)?,
        proc.name,
    ))
}
