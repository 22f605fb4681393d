//! Functions, aggregates, operators, casts and the classes of operators: those the binder binds by.
//!
//! The facts that the binder does not need (what commutes, which function is behind) are recorded from
//! PostgreSQL in `recorded/`; a recorded row is shown when the binder has what it tells of.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use chronolith_catalog::{ArgMode, Routine, Securable, Volatility};
use chronolith_types::SqlType;

use super::classes::access_method;
use super::context::Context;
use super::objects::{self, BOOTSTRAP_ROLE};
use super::recorded;
use super::relation::{self, Fill, PG_CATALOG};
use super::rows::{Cell, NULL, Rows, count, row};
use crate::error::Error;
use crate::functions::{self, Imp, Proc, ProcKind, Volatile};

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_proc" => procs,
        "pg_aggregate" => aggregates,
        "pg_operator" => operators,
        "pg_cast" => casts,
        "pg_am" => |_, rows| recorded_rows(rows, "pg_am", include_str!("recorded/pg_am.tsv")),
        "pg_opclass" => {
            |_, rows| recorded_rows(rows, "pg_opclass", include_str!("recorded/pg_opclass.tsv"))
        }
        "pg_opfamily" => |_, rows| {
            recorded_rows(
                rows,
                "pg_opfamily",
                include_str!("recorded/pg_opfamily.tsv"),
            )
        },
        "pg_amop" => |_, rows| recorded_rows(rows, "pg_amop", include_str!("recorded/pg_amop.tsv")),
        "pg_amproc" => {
            |_, rows| recorded_rows(rows, "pg_amproc", include_str!("recorded/pg_amproc.tsv"))
        }
        "pg_range" => {
            |_, rows| recorded_rows(rows, "pg_range", include_str!("recorded/pg_range.tsv"))
        }
        "pg_language" => languages,
        "pg_collation" => |_, rows| {
            recorded_rows(
                rows,
                "pg_collation",
                include_str!("recorded/pg_collation.tsv"),
            )
        },
        "pg_ts_config" => |_, rows| {
            recorded_rows(
                rows,
                "pg_ts_config",
                include_str!("recorded/pg_ts_config.tsv"),
            )
        },
        "pg_ts_config_map" => |_, rows| {
            recorded_rows(
                rows,
                "pg_ts_config_map",
                include_str!("recorded/pg_ts_config_map.tsv"),
            )
        },
        "pg_ts_dict" => {
            |_, rows| recorded_rows(rows, "pg_ts_dict", include_str!("recorded/pg_ts_dict.tsv"))
        }
        "pg_ts_parser" => |_, rows| {
            recorded_rows(
                rows,
                "pg_ts_parser",
                include_str!("recorded/pg_ts_parser.tsv"),
            )
        },
        "pg_ts_template" => |_, rows| {
            recorded_rows(
                rows,
                "pg_ts_template",
                include_str!("recorded/pg_ts_template.tsv"),
            )
        },
        _ => return None,
    })
}

/// The rows of functions that no view shows.
pub(super) fn fill_function(name: &str) -> Option<Fill> {
    match name {
        "pg_get_keywords" => Some(keywords),
        _ => None,
    }
}

fn keywords<'a>(_: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    if let Some(own) = relation::of_function("pg_get_keywords") {
        for fields in recorded::lines(include_str!("recorded/pg_get_keywords.tsv")) {
            rows.push(recorded::cells(&fields, own.columns()));
        }
    }
    Ok(())
}

/// All rows recorded of a relation.
/// A language's oid, and whether it is trusted.
pub(crate) fn language(name: &str) -> Option<(u32, bool)> {
    let mut all = recorded::lines(include_str!("recorded/pg_language.tsv"));
    let found = all.find(|fields| fields.get(1) == Some(&name))?;
    Some((recorded::oid(&found, 0), found.get(4) == Some(&"t")))
}

fn languages<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    const ACL: usize = 8;
    let home = context.home()?;
    let Some(own) = relation::find("pg_catalog", "pg_language") else {
        return Ok(());
    };
    for fields in recorded::lines(include_str!("recorded/pg_language.tsv")) {
        let mut cells: Vec<Cell<'a>> = recorded::cells(&fields, own.columns());
        let acl = home.acls.get(&recorded::oid(&fields, 0));
        if let (Some(acl), Some(cell)) = (acl, cells.get_mut(ACL)) {
            *cell = context.acl_items(acl, Securable::Language).into();
        }
        rows.push(cells);
    }
    Ok(())
}

pub(super) fn recorded_rows(
    rows: &mut Rows<'_>,
    name: &str,
    text: &'static str,
) -> Result<(), Error> {
    recorded_where(rows, name, text, |_| true)
}

fn recorded_where(
    rows: &mut Rows<'_>,
    name: &str,
    text: &'static str,
    keep: impl Fn(&[&'static str]) -> bool,
) -> Result<(), Error> {
    if let Some(own) = relation::find("pg_catalog", name) {
        for fields in recorded::lines(text).filter(|fields| keep(fields)) {
            rows.push(recorded::cells(&fields, own.columns()));
        }
    }
    Ok(())
}

/// The default operator class of a type for an access method; 0 when it has none.
pub(super) fn operator_class(method: u32, ty: &SqlType) -> u32 {
    static CLASSES: LazyLock<HashMap<(u32, u32), u32>> = LazyLock::new(|| {
        recorded::lines(include_str!("recorded/pg_opclass.tsv"))
            .filter(|fields| fields.get(7) == Some(&"t"))
            .map(|fields| {
                let at = |place| recorded::oid(&fields, place);
                ((at(1), at(6)), at(0))
            })
            .collect()
    });
    let stand_in = stand_in(ty);
    CLASSES.get(&(method, stand_in.oid())).copied().unwrap_or(0)
}

/// Types that have another's order.
pub(super) fn stand_in(ty: &SqlType) -> SqlType {
    match ty {
        SqlType::Varchar(_) => SqlType::Text,
        SqlType::Reg(_) => SqlType::Oid,
        SqlType::Array(_) => SqlType::AnyArray,
        SqlType::Range(_) => SqlType::AnyRange,
        SqlType::User(of) if of.labels().is_some() => SqlType::AnyEnum,
        other => other.without_typmod(),
    }
}

/// A class of operators by its name, and whether it is the one meant without a name; an error where
/// it is not of the type.
pub(crate) fn class_named(
    method: &str,
    name: &str,
    ty: &SqlType,
) -> Option<Result<(u32, bool), ()>> {
    let method = access_method(method);
    let fields = recorded::lines(include_str!("recorded/pg_opclass.tsv"))
        .find(|fields| recorded::oid(fields, 1) == method && fields.get(2) == Some(&name))?;
    let oid = recorded::oid(&fields, 0);
    let fits = recorded::oid(&fields, 6) == stand_in(ty).oid();
    Some(match fits {
        true => Ok((oid, oid == operator_class(method, ty))),
        false => Err(()),
    })
}

/// A collation by its name.
pub(crate) fn collation_named(name: &str) -> Option<u32> {
    let mut all = recorded::lines(include_str!("recorded/pg_collation.tsv"));
    let found = all.find(|fields| fields.get(1) == Some(&name))?;
    Some(recorded::oid(&found, 0))
}

// -------------------------------------------------------------------------------------- functions

const INTERNAL: u32 = 12;
const SQL: u32 = 14;
const PLPGSQL: u32 = 13563;
const VOID: u32 = 2278;

/// A function that a type, an operator or an aggregate has behind it, and that SQL does not call.
struct Support {
    oid: u32,
    name: &'static str,
    kind: char,
    set: bool,
    strict: bool,
    volatility: char,
    args: Vec<i64>,
    result: u32,
}

static SUPPORT: LazyLock<Vec<Support>> = LazyLock::new(|| {
    let called: BTreeSet<u32> = functions::all_procs().map(|proc| proc.oid).collect();
    recorded::lines(include_str!("recorded/support.tsv"))
        .filter(|fields| !called.contains(&recorded::oid(fields, 0)))
        .filter_map(|fields| {
            let letter = |place: usize| fields.get(place)?.chars().next();
            Some(Support {
                oid: recorded::oid(&fields, 0),
                name: fields.get(1)?,
                kind: letter(2)?,
                set: fields.get(3) == Some(&"t"),
                strict: fields.get(4) == Some(&"t"),
                volatility: letter(5)?,
                args: fields
                    .get(6)?
                    .split_ascii_whitespace()
                    .filter_map(|oid| oid.parse().ok())
                    .collect(),
                result: recorded::oid(&fields, 7),
            })
        })
        .collect()
});

/// The functions of SQL, in the order of their oids.
static PROCS: LazyLock<Vec<&'static Proc>> = LazyLock::new(|| {
    let mut all: Vec<_> = functions::all_procs().collect();
    all.sort_by_key(|proc| proc.oid);
    all
});

/// The name of the function of an oid.
pub(super) fn proc_name(oid: u32) -> Option<&'static str> {
    let support = || SUPPORT.iter().find(|support| support.oid == oid);
    proc(oid)
        .map(|proc| proc.name)
        .or_else(|| support().map(|support| support.name))
}

/// The function of an oid, if SQL can call it.
pub(super) fn proc(oid: u32) -> Option<&'static Proc> {
    let place = PROCS.binary_search_by_key(&oid, |proc| proc.oid).ok()?;
    PROCS.get(place).copied()
}

/// The functions of a name: those of SQL, then the others.
pub(super) fn procs_named(name: &str) -> Vec<u32> {
    let called = PROCS.iter().filter(|proc| proc.name == name);
    let support = SUPPORT.iter().filter(|support| support.name == name);
    called
        .map(|proc| proc.oid)
        .chain(support.map(|support| support.oid))
        .collect()
}

/// The oid of a function's schema.
fn schema_oid(context: &Context, name: &'static str) -> Result<u32, Error> {
    let home = context.home()?;
    let found = objects::schemas(home).find(|(_, schema, _)| *schema == name);
    Ok(found.map_or(PG_CATALOG, |(oid, ..)| oid))
}

fn type_oids<'a>(types: impl IntoIterator<Item = &'a SqlType>) -> Vec<i64> {
    types.into_iter().map(|ty| i64::from(ty.oid())).collect()
}

fn procs<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for proc in PROCS.iter() {
        let kind = match proc.kind {
            ProcKind::Aggregate => 'a',
            ProcKind::Window => 'w',
            ProcKind::Procedure => 'p',
            ProcKind::Scalar | ProcKind::SetReturning => 'f',
        };
        let set = proc.kind == ProcKind::SetReturning;
        let volatility = match proc.volatility {
            Volatile::Immutable => 'i',
            Volatile::Stable => 's',
            Volatile::Volatile => 'v',
        };
        // A result of several columns is shown as arguments that go out.
        let (mut all_types, mut modes) = (Cell::Null, Cell::Null);
        let mut names: Vec<&str> = proc.arg_names.clone();
        let variadic = proc.variadic.is_some();
        if !proc.columns.is_empty() || variadic {
            let out = proc.columns.iter().map(|(_, ty)| ty);
            all_types = type_oids(proc.args.iter().chain(out)).into();
            let ins = (1..=proc.args.len()).map(|place| {
                if variadic && place == proc.args.len() {
                    "v"
                } else {
                    "i"
                }
            });
            let out_mode = if set { "t" } else { "o" };
            let outs = proc.columns.iter().map(|_| out_mode);
            modes = ins.chain(outs).collect::<Vec<_>>().into();
        }
        if !proc.columns.is_empty() {
            names.resize(proc.args.len(), "");
            names.extend(proc.columns.iter().map(|(name, _)| *name));
        }
        let names: Cell<'a> = if names.is_empty() {
            Cell::Null
        } else {
            names.into()
        };
        rows.push(row![
            proc.oid,
            proc.name,
            schema_oid(context, proc.schema)?,
            BOOTSTRAP_ROLE.0,
            INTERNAL,
            1,
            if set { 1000 } else { 0 },
            proc.variadic.as_ref().map_or(0, SqlType::oid),
            0,
            kind,
            false,
            false,
            proc.strict,
            set,
            volatility,
            if matches!(proc.imp, Imp::Effect(_)) {
                'u'
            } else {
                's'
            },
            count(proc.args.len()),
            count(proc.defaults),
            proc.result.oid(),
            type_oids(&proc.args),
            all_types,
            modes,
            names,
            NULL,
            NULL,
            proc.name,
            NULL,
            NULL,
            NULL,
            NULL,
        ]);
    }
    own_procs(context, rows)?;
    for support in SUPPORT.iter() {
        rows.push(row![
            support.oid,
            support.name,
            PG_CATALOG,
            BOOTSTRAP_ROLE.0,
            INTERNAL,
            1,
            0,
            0,
            0,
            support.kind,
            false,
            false,
            support.strict,
            support.set,
            support.volatility,
            's',
            count(support.args.len()),
            0,
            support.result,
            support.args.clone(),
            NULL,
            NULL,
            NULL,
            NULL,
            NULL,
            support.name,
            NULL,
            NULL,
            NULL,
            NULL,
        ]);
    }
    Ok(())
}

/// The grants of a user's routine.
fn own_acl<'a>(context: &'a Context, routine: &Routine) -> Cell<'a> {
    let acl = context
        .home()
        .ok()
        .and_then(|home| home.acls.get(&routine.id.0));
    acl.map(|acl| context.acl_items(acl, Securable::Routine))
        .into()
}

/// The functions and procedures of users.
fn own_procs<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for routine in home.routines.values() {
        let named = routine.args.iter().any(|arg| arg.name.is_some());
        let names: Vec<&str> = routine
            .args
            .iter()
            .map(|arg| arg.name.as_deref().unwrap_or(""))
            .collect();
        let names: Cell<'a> = if named { names.into() } else { Cell::Null };
        let (mut all_types, mut modes) = (Cell::Null, Cell::Null);
        if routine.args.iter().any(|arg| arg.mode != ArgMode::In) {
            all_types = type_oids(routine.args.iter().map(|arg| &arg.ty)).into();
            let letters = routine.args.iter().map(|arg| arg.mode.letter());
            modes = letters.collect::<Vec<_>>().into();
        }
        let variadic = routine
            .args
            .iter()
            .find(|arg| arg.mode == ArgMode::Variadic);
        let variadic = variadic.and_then(|arg| arg.ty.element().map(SqlType::oid));
        let defaults = routine.args.iter().filter(|arg| arg.default.is_some());
        let set = routine.result.as_ref().is_some_and(|result| result.set);
        let result = routine
            .result
            .as_ref()
            .map_or(VOID, |of| match of.relation {
                None => of.ty.oid(),
                Some(relation) => {
                    let mut types = home.types.values();
                    let composite = types.find(|ty| ty.relation() == Some(relation.0));
                    composite.map_or(objects::row_types_of(relation.0).0, |ty| ty.id.0)
                }
            });
        let result = match routine.is_procedure() && routine.outputs().next().is_some() {
            true => SqlType::Record.oid(),
            false => result,
        };
        let volatility = match routine.volatility {
            Volatility::Immutable => 'i',
            Volatility::Stable => 's',
            Volatility::Volatile => 'v',
        };
        let promises = &routine.promises;
        let number = |text: &Option<String>, usual: i32| {
            let given = text.as_ref().and_then(|text| text.parse::<f64>().ok());
            #[expect(
                clippy::cast_possible_truncation,
                reason = "a cost, shown as a whole number"
            )]
            given.map_or(usual, |given| given as i32)
        };
        let config: Cell<'a> = match routine.settings.as_slice() {
            [] => Cell::Null,
            settings => settings
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .into(),
        };
        rows.push(row![
            routine.id.0,
            &routine.name,
            routine.schema.0,
            routine.owner.0,
            if routine.language == "sql" {
                SQL
            } else {
                PLPGSQL
            },
            number(&promises.cost, 100),
            number(&promises.rows, if set { 1000 } else { 0 }),
            variadic.unwrap_or(0),
            0,
            if routine.result.is_some() { 'f' } else { 'p' },
            routine.security_definer,
            promises.leakproof,
            routine.strict,
            set,
            volatility,
            promises.parallel.unwrap_or('u'),
            count(routine.inputs().count()),
            count(defaults.count()),
            result,
            type_oids(routine.types()),
            all_types,
            modes,
            names,
            NULL,
            NULL,
            if routine.plain_body {
                ""
            } else {
                routine.body.as_str()
            },
            NULL,
            routine.plain_body.then_some(routine.body.as_str()),
            config,
            own_acl(context, routine),
        ]);
    }
    Ok(())
}

fn aggregates<'a>(_: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let is_aggregate = |oid: u32| proc(oid).is_some_and(|proc| proc.kind == ProcKind::Aggregate);
    let text = include_str!("recorded/pg_aggregate.tsv");
    recorded_where(rows, "pg_aggregate", text, |fields| {
        is_aggregate(recorded::oid(fields, 0))
    })?;
    let recorded: BTreeSet<u32> = recorded::lines(text)
        .map(|fields| recorded::oid(&fields, 0))
        .collect();
    // TimescaleDB's own: their states are the program's, and no SQL function makes them.
    for proc in PROCS.iter() {
        if proc.kind == ProcKind::Aggregate && !recorded.contains(&proc.oid) {
            rows.push(row![
                proc.oid,
                if proc.ordered_set { 'o' } else { 'n' },
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                false,
                false,
                'r',
                'r',
                0,
                SqlType::Internal.oid(),
                0,
                0,
                0,
                NULL,
                NULL,
            ]);
        }
    }
    Ok(())
}

fn operators<'a>(_: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let bound: BTreeSet<u32> = functions::all_operators()
        .map(|operator| operator.oid)
        .collect();
    let text = include_str!("recorded/pg_operator.tsv");
    recorded_where(rows, "pg_operator", text, |fields| {
        bound.contains(&recorded::oid(fields, 0))
    })
}

fn casts<'a>(_: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let bound: BTreeSet<(u32, u32)> = functions::all_casts()
        .map(|cast| (cast.source.oid(), cast.target.oid()))
        .collect();
    let text = include_str!("recorded/pg_cast.tsv");
    recorded_where(rows, "pg_cast", text, |fields| {
        bound.contains(&(recorded::oid(fields, 1), recorded::oid(fields, 2)))
    })
}
