//! What belongs to the whole server: databases, roles, settings, time zones.

use chronolith_catalog::{Privilege, Role, Securable};
use chronolith_types::TimeZone;

use super::context::Context;
use super::objects::BOOTSTRAP_ROLE;
use super::recorded;
use super::relation::Fill;
use super::routines::recorded_rows;
use super::rows::{Cell, NULL, Rows, row};
use crate::error::Error;
use crate::settings;

const UTF8: i64 = 6;
const DEFAULT_TABLESPACE: u32 = 1663;
const TEMPLATE1: u32 = 1;
/// The version of TimescaleDB that this program answers as.
pub(super) const TIMESCALEDB_VERSION: &str = "2.29.2";
const HIDDEN: &str = "********";

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "pg_database" => databases,
        "pg_roles" => roles,
        "pg_authid" => authid,
        "pg_user" => users,
        "pg_shadow" => shadow,
        "pg_group" => groups,
        "pg_auth_members" => members,
        "pg_db_role_setting" => role_settings,
        "pg_default_acl" => default_acls,
        "pg_settings" => show_all,
        "pg_timezone_names" => time_zones,
        "pg_tablespace" => |_, rows| {
            recorded_rows(
                rows,
                "pg_tablespace",
                include_str!("recorded/pg_tablespace.tsv"),
            )
        },
        _ => return None,
    })
}

fn databases<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for database in context.catalog.databases.values() {
        let collate = context.settings.get("lc_collate").unwrap_or("C");
        let ctype = context.settings.get("lc_ctype").unwrap_or("C");
        let acl = database.acls.get(&database.id.0);
        let acl = acl.map(|acl| context.acl_items(acl, Securable::Database));
        rows.push(row![
            database.id.0,
            &database.name,
            database.owner.0,
            UTF8,
            'c',
            database.id.0 == TEMPLATE1,
            true,
            -1,
            0,
            0,
            DEFAULT_TABLESPACE,
            collate,
            ctype,
            NULL,
            NULL,
            acl,
        ]);
    }
    Ok(())
}

/// A role's or database's settings as `name=value`; NULL for none.
fn config<'a>(settings: &std::collections::BTreeMap<String, String>) -> Cell<'a> {
    if settings.is_empty() {
        return Cell::Null;
    }
    let words: Vec<String> = settings
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    words.into()
}

fn has(role: &Role, privilege: Privilege) -> bool {
    role.privileges.contains(&privilege)
}

fn roles<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for role in context.catalog.roles.values() {
        rows.push(row![
            &role.name,
            has(role, Privilege::Superuser),
            !role.noinherit,
            has(role, Privilege::CreateRole),
            has(role, Privilege::CreateDatabase),
            has(role, Privilege::Login),
            has(role, Privilege::Replication),
            limit(role),
            HIDDEN,
            valid_until(role),
            has(role, Privilege::BypassRowSecurity),
            config(&role.settings),
            role.id.0,
        ]);
    }
    Ok(())
}

/// How many sessions a role may have, as `pg_roles` says it.
fn limit(role: &Role) -> i64 {
    role.sessions_max.map_or(-1, i64::from)
}

fn valid_until(role: &Role) -> Cell<'static> {
    role.valid_until_us.map_or(Cell::Null, Cell::Int)
}

fn authid<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    context.superuser_only("table", "pg_authid")?;
    for role in context.catalog.roles.values() {
        rows.push(row![
            role.id.0,
            &role.name,
            has(role, Privilege::Superuser),
            !role.noinherit,
            has(role, Privilege::CreateRole),
            has(role, Privilege::CreateDatabase),
            has(role, Privilege::Login),
            has(role, Privilege::Replication),
            has(role, Privilege::BypassRowSecurity),
            limit(role),
            role.verifier.as_ref(),
            valid_until(role),
        ]);
    }
    Ok(())
}

fn login_roles<'a>(context: &'a Context, rows: &mut Rows<'a>, secrets: bool) -> Result<(), Error> {
    for role in context.catalog.roles.values() {
        if !has(role, Privilege::Login) {
            continue;
        }
        let password = if secrets {
            role.verifier.as_deref()
        } else {
            Some(HIDDEN)
        };
        rows.push(row![
            &role.name,
            role.id.0,
            has(role, Privilege::CreateDatabase),
            has(role, Privilege::Superuser),
            has(role, Privilege::Replication),
            has(role, Privilege::BypassRowSecurity),
            password,
            valid_until(role),
            config(&role.settings),
        ]);
    }
    Ok(())
}

fn users<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    login_roles(context, rows, false)
}

fn shadow<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    context.superuser_only("view", "pg_shadow")?;
    login_roles(context, rows, true)
}

fn groups<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let roles = &context.catalog.roles;
    for group in roles.values().filter(|role| !has(role, Privilege::Login)) {
        let members: Vec<u32> = roles
            .values()
            .filter(|role| role.member_of.contains(&group.id))
            .map(|role| role.id.0)
            .collect();
        rows.push(row![&group.name, group.id.0, members]);
    }
    Ok(())
}

fn members<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for role in context.catalog.roles.values() {
        for group in &role.member_of {
            let admin = role.admin_of.contains(group);
            rows.push(row![group.0, role.id.0, BOOTSTRAP_ROLE.0, admin]);
        }
    }
    Ok(())
}

fn default_acls<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for default in &context.home()?.default_acls {
        let kind = match default.kind {
            Securable::Relation => 'r',
            Securable::Sequence => 'S',
            Securable::Routine => 'f',
            Securable::Type => 'T',
            // Nothing else has defaults.
            _ => 'n',
        };
        rows.push(row![
            default.id,
            default.role.0,
            default.schema.map_or(0, |schema| schema.0),
            kind,
            context.acl_items(&default.acl, default.kind),
        ]);
    }
    Ok(())
}

fn role_settings<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let databases = context.catalog.databases.values();
    for database in databases.filter(|database| !database.settings.is_empty()) {
        rows.push(row![database.id.0, 0, config(&database.settings)]);
    }
    let roles = context.catalog.roles.values();
    for role in roles.filter(|role| !role.settings.is_empty()) {
        rows.push(row![0, role.id.0, config(&role.settings)]);
    }
    for role in context.catalog.roles.values() {
        for (database, settings) in &role.settings_in {
            if context.catalog.databases.contains_key(database) {
                rows.push(row![database.0, role.id.0, config(settings)]);
            }
        }
    }
    Ok(())
}

fn show_all<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let described: std::collections::HashMap<&str, Vec<&str>> =
        recorded::lines(include_str!("recorded/settings.tsv"))
            .filter_map(|fields| Some((*fields.first()?, fields)))
            .collect();
    // What SHOW ALL leaves out as well.
    let hidden = ["is_superuser", "role", "session_authorization"];
    let conf = context.instance.conf();
    let superuser = context.superuser_only("view", "pg_settings").is_ok();
    for known in settings::known() {
        if hidden.contains(&known.name) {
            continue;
        }
        let source = context.settings.source(known.name);
        let line = conf.line_of(known.name);
        let line = line.filter(|_| superuser && source == "configuration file");
        let field = |place: usize| Some(*described.get(known.name)?.get(place)?);
        let filled = |text: &'static str| (!text.is_empty()).then_some(text);
        let words: Option<Vec<&str>> = filled(known.words).map(|words| words.split(',').collect());
        rows.push(row![
            known.name,
            context.settings.get(known.name),
            filled(known.unit),
            field(1).unwrap_or("Customized Options"),
            field(2).unwrap_or(""),
            NULL,
            known.context.name(),
            known.kind.name(),
            source,
            filled(known.min),
            filled(known.max),
            words,
            known.default,
            context.settings.reset_value(known.name),
            line.map(|line| line.file.as_str().to_owned()),
            line.map(|line| i64::from(line.number)),
            conf.pending.contains(&known.name.to_lowercase()),
        ]);
    }
    Ok(())
}

fn time_zones<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    for zone in chrono_tz::TZ_VARIANTS {
        let offset = TimeZone::Named(zone).offset_at(context.now_us);
        let (abbreviation, summer) = zone_now(zone, context.now_us);
        rows.push(row![
            zone.name(),
            abbreviation,
            Cell::Span(i64::from(offset) * 1_000_000),
            summer
        ]);
    }
    Ok(())
}

/// A zone's abbreviation and whether its clocks are put forward.
fn zone_now(zone: chrono_tz::Tz, now_us: i64) -> (Option<String>, bool) {
    use chrono::TimeZone as _;
    use chrono_tz::{OffsetComponents, OffsetName};
    let Some(now) = chrono::DateTime::from_timestamp_micros(now_us) else {
        return (None, false);
    };
    let offset = zone.offset_from_utc_datetime(&now.naive_utc());
    (
        offset.abbreviation().map(str::to_owned),
        !offset.dst_offset().is_zero(),
    )
}
