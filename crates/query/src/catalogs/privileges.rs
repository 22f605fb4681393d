//! Who may do what, as the SQL standard's views and lists of aclitems show it.

use chronolith_catalog::{Acl, Database, Rights, Securable};

use chronolith_types::RoleId;

use super::context::Context;
use super::objects::{self, Relation};
use super::relation::Fill;
use super::rows::{Rows, row};
use crate::error::Error;

pub(super) fn fill(name: &str) -> Option<Fill> {
    Some(match name {
        "table_privileges" | "role_table_grants" => tables,
        "column_privileges" | "role_column_grants" => columns,
        _ => return None,
    })
}

/// One privilege that somebody has on a relation.
struct Grant {
    grantor: String,
    grantee: String,
    name: &'static str,
    of_columns: bool,
    grantable: bool,
}

/// Those of a table that its columns have too.
fn of_columns(right: Rights) -> bool {
    (Rights::INSERT | Rights::SELECT | Rights::UPDATE | Rights::REFERENCES).has(right)
}

/// What was granted on a relation; None where nobody said anything. A chunk is its table's.
pub(super) fn acl_of<'a>(home: &'a Database, relation: Relation<'_>) -> Option<&'a Acl> {
    let oid = match relation {
        Relation::Chunk(table, ..) => table.id.0,
        Relation::System(_) | Relation::Index(..) | Relation::Composite(_) => return None,
        other => other.oid(),
    };
    home.acls.get(&oid)
}

/// What is granted on a relation; to its owner all, unless something was said.
fn grants(context: &Context, home: &Database, relation: Relation<'_>) -> Vec<Grant> {
    let owner = relation.owner();
    let default = Acl::default_of(Securable::Relation, owner);
    let acl = acl_of(home, relation).unwrap_or(&default);
    each(context, acl, owner)
}

fn each(context: &Context, acl: &Acl, owner: RoleId) -> Vec<Grant> {
    let mut all = Vec::new();
    for item in &acl.0 {
        for (right, _, name) in item.rights.each() {
            all.push(Grant {
                grantor: context.role_name(item.by),
                grantee: match item.to {
                    Some(role) => context.role_name(role),
                    None => "PUBLIC".to_owned(),
                },
                name,
                of_columns: of_columns(right),
                grantable: item.grantable.has(right) || item.to == Some(owner),
            });
        }
    }
    all
}

/// What is granted on columns of a relation, by their attribute numbers, where the whole has not
/// the same.
fn column_grants(context: &Context, home: &Database, relation: Relation<'_>) -> Vec<(u32, Grant)> {
    let oid = match relation {
        Relation::Chunk(table, ..) => table.id.0,
        other => other.oid(),
    };
    let whole = grants(context, home, relation);
    let listed = home.column_acls.get(&oid).into_iter().flatten();
    let mut all = Vec::new();
    for (number, acl) in listed {
        for grant in each(context, acl, relation.owner()) {
            let same = |known: &Grant| {
                (&known.grantor, &known.grantee, known.name)
                    == (&grant.grantor, &grant.grantee, grant.name)
            };
            if !whole.iter().any(same) {
                all.push((*number, grant));
            }
        }
    }
    all
}

impl Context {
    /// An acl in PostgreSQL's text form, item by item: `grantee=arw*/grantor`.
    pub(crate) fn acl_items(&self, acl: &Acl, kind: Securable) -> Vec<String> {
        let quoted = |name: String| {
            let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            match plain {
                true => name,
                false => format!("\"{}\"", name.replace('"', "\"\"")),
            }
        };
        let item = |item: &chronolith_catalog::Grant| {
            let mut text = match item.to {
                Some(role) => quoted(self.role_name(role)),
                None => String::new(),
            };
            text.push('=');
            for (right, letter, _) in (item.rights & kind.rights()).each() {
                text.push(letter);
                if item.grantable.has(right) {
                    text.push('*');
                }
            }
            text.push('/');
            text.push_str(&quoted(self.role_name(item.by)));
            text
        };
        acl.0.iter().map(item).collect()
    }
}

/// Whether the session's role is that role, or one of its members.
fn is_enabled(context: &Context, role: &str) -> bool {
    let Some(user) = context.catalog.role_named(&context.user) else {
        return false;
    };
    let group = context.catalog.role_named(role);
    role == "PUBLIC" || group.is_some_and(|group| context.catalog.acts_as(user.id, group.id))
}

fn yes(value: bool) -> &'static str {
    if value { "YES" } else { "NO" }
}

fn tables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        if matches!(
            relation,
            Relation::Index(..) | Relation::Sequence(_) | Relation::Composite(_)
        ) {
            continue;
        }
        for grant in grants(context, home, relation) {
            if !is_enabled(context, &grant.grantee) && !is_enabled(context, &grant.grantor) {
                continue;
            }
            rows.push(row![
                grant.grantor,
                grant.grantee,
                &home.name,
                relation.schema(home).1,
                relation.name(),
                grant.name,
                yes(grant.grantable),
                yes(grant.name == "SELECT"),
            ]);
        }
    }
    Ok(())
}

fn columns<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        let names: Vec<(u32, String)> = match relation {
            Relation::Index(..)
            | Relation::System(_)
            | Relation::Sequence(_)
            | Relation::Composite(_) => continue,
            Relation::Table(table) | Relation::Chunk(table, ..) | Relation::Kept(table, _) => {
                let columns = table.columns.iter();
                columns
                    .map(|column| (column.id.0, column.name.clone()))
                    .collect()
            }
            Relation::View(view) => {
                let columns = (context.view_columns)(view).into_iter();
                (1..).zip(columns.map(|(name, _)| name)).collect()
            }
        };
        let own = column_grants(context, home, relation);
        for (number, grant) in own {
            let shown = is_enabled(context, &grant.grantee) || is_enabled(context, &grant.grantor);
            let name = names.iter().find(|(of, _)| *of == number);
            if let Some((_, name)) = name.filter(|_| shown) {
                rows.push(row![
                    grant.grantor,
                    grant.grantee,
                    &home.name,
                    relation.schema(home).1,
                    relation.name(),
                    name.clone(),
                    grant.name,
                    yes(grant.grantable),
                ]);
            }
        }
        for grant in grants(context, home, relation) {
            let shown = is_enabled(context, &grant.grantee) || is_enabled(context, &grant.grantor);
            if !grant.of_columns || !shown {
                continue;
            }
            for (_, name) in &names {
                rows.push(row![
                    grant.grantor.clone(),
                    grant.grantee.clone(),
                    &home.name,
                    relation.schema(home).1,
                    relation.name(),
                    name.clone(),
                    grant.name,
                    yes(grant.grantable),
                ]);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_of_columns_are_four() {
        let all = Securable::Relation.rights();
        let names: Vec<_> = all
            .each()
            .filter(|(right, ..)| of_columns(*right))
            .map(|(_, letter, _)| letter)
            .collect();
        assert_eq!(names, ['a', 'r', 'w', 'x']);
    }
}
