//! Rights on columns.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronolith_catalog::{Acl, Change, Database, Rights, Securable};
use chronolith_sql::{Grant, Spelled};
use chronolith_types::{RoleId, SqlState, TableId};

use super::{Asked, Thing, apply, grantor, warn};
use crate::error::Error;
use crate::session::Shared;

pub(super) fn run(
    shared: &Arc<Shared>,
    grant: &Grant,
    thing: &Thing,
    asked: &Asked,
    to: &[Option<RoleId>],
) -> Result<(), Error> {
    let home = shared.home()?;
    let mut wanted: BTreeMap<u32, (String, Rights, bool)> = BTreeMap::new();
    if !asked.columns.is_empty() {
        let known = columns_of(shared, &home, thing)?;
        for (rights, columns) in &asked.columns {
            for column in columns {
                let number = number_of(&known, thing, column)?;
                let all = Securable::Column.rights();
                let entry = wanted.entry(number);
                let of = entry.or_insert((column.value.clone(), Rights::NONE, rights.is_none()));
                of.1 = of.1 | rights.unwrap_or(all);
                of.2 |= rights.is_none();
            }
        }
    }
    // Who loses a right on the whole loses it on each column.
    let whole = asked.whole.unwrap_or_else(|| thing.kind.rights()) & Securable::Column.rights();
    if grant.revoke && !whole.is_empty() {
        for number in home.column_acls.get(&thing.oid).into_iter().flatten() {
            let entry = wanted.entry(*number.0);
            let of = entry.or_insert((String::new(), Rights::NONE, true));
            of.1 = of.1 | whole;
        }
    }
    for (number, (name, rights, all)) in wanted {
        let known = home.column_acl(thing.oid, number).cloned();
        one(
            shared,
            grant,
            thing,
            (number, &name),
            known,
            (rights, all),
            to,
        )?;
    }
    Ok(())
}

fn one(
    shared: &Arc<Shared>,
    grant: &Grant,
    thing: &Thing,
    (number, name): (u32, &str),
    known: Option<Acl>,
    (rights, all): (Rights, bool),
    to: &[Option<RoleId>],
) -> Result<(), Error> {
    let catalog = shared.catalog();
    let role = shared.role(&catalog)?;
    let before = known.unwrap_or_default();
    // Who may hand on a right on the whole may hand it on for a column.
    let mut merged = thing.acl.clone();
    merged.0.extend(before.0.iter().cloned());
    let of = Thing {
        oid: thing.oid,
        kind: Securable::Column,
        name: thing.name.clone(),
        word: thing.word,
        owner: thing.owner,
        acl: merged,
    };
    let (by, options) = grantor(&catalog, role, &of, rights);
    let may = rights & options;
    if options.is_empty() && of.acl.rights_of(&catalog.roles_of(role)).is_empty() {
        return Err(Error::new(
            SqlState::INSUFFICIENT_PRIVILEGE,
            format!(
                "permission denied for column \"{name}\" of relation \"{}\"",
                thing.name
            ),
        ));
    }
    if !name.is_empty() {
        let words = format!("column \"{name}\" of relation \"{}\"", thing.name);
        warn(shared, grant, (rights, may, all), &words);
    }
    let mut acl = before.clone();
    apply(&mut acl, grant, may, to, by, thing.owner)?;
    if acl == before {
        return Ok(());
    }
    shared.change_unguarded(Change::SetColumnAcl {
        database: shared.database,
        oid: thing.oid,
        column: number,
        acl: Some(acl),
    })
}

/// The columns of a table or view with their attribute numbers.
fn columns_of(
    shared: &Arc<Shared>,
    home: &Database,
    thing: &Thing,
) -> Result<Vec<(u32, String)>, Error> {
    let id = TableId(thing.oid);
    if let Some(table) = home.tables.get(&id) {
        let columns = table.columns.iter();
        return Ok(columns
            .map(|column| (column.id.0, column.name.clone()))
            .collect());
    }
    let Some(view) = home.views.get(&id) else {
        return Ok(Vec::new());
    };
    let columns = shared.columns_of(view).unwrap_or_default().into_iter();
    Ok((1..).zip(columns.map(|(name, _)| name)).collect())
}

fn number_of(known: &[(u32, String)], thing: &Thing, column: &Spelled) -> Result<u32, Error> {
    let found = known.iter().find(|(_, name)| *name == column.value);
    found.map(|(number, _)| *number).ok_or_else(|| {
        Error::new(
            SqlState::UNDEFINED_COLUMN,
            format!(
                "column \"{}\" of relation \"{}\" does not exist",
                column.value, thing.name
            ),
        )
    })
}
