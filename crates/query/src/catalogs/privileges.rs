//! Who may do what, as the SQL standard's views show it.

use chronolith_catalog::{Privilege, Role};
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

/// The privileges of tables: their letters in an aclitem, their names, and whether a column has them
/// too.
const PRIVILEGES: [(char, &str, bool); 7] = [
    ('a', "INSERT", true),
    ('r', "SELECT", true),
    ('w', "UPDATE", true),
    ('d', "DELETE", false),
    ('D', "TRUNCATE", false),
    ('x', "REFERENCES", true),
    ('t', "TRIGGER", false),
];

/// One privilege that somebody has on a relation.
struct Grant {
    grantor: String,
    grantee: String,
    name: &'static str,
    of_columns: bool,
    grantable: bool,
}

/// What is granted on a relation; to its owner all, unless something was said.
fn grants(context: &Context, relation: Relation<'_>) -> Vec<Grant> {
    let owner = context.role_name(relation.owner());
    let acl = match relation {
        Relation::Table(table) | Relation::Kept(table, _) => table.acl.as_deref(),
        _ => None,
    };
    let Some(acl) = acl else {
        let all = |(_, name, of_columns): &(char, &'static str, bool)| Grant {
            grantor: owner.clone(),
            grantee: owner.clone(),
            name,
            of_columns: *of_columns,
            grantable: true,
        };
        return PRIVILEGES.iter().map(all).collect();
    };
    acl.iter().flat_map(|item| read(item, &owner)).collect()
}

/// The privileges of an aclitem: `grantee=arw*/grantor`.
fn read(item: &str, owner: &str) -> Vec<Grant> {
    let bare = |name: &str| name.trim_matches('"').replace("\"\"", "\"");
    let Some((grantee, rest)) = item.rsplit_once('=') else {
        return Vec::new();
    };
    let (letters, grantor) = rest.split_once('/').unwrap_or((rest, owner));
    let grantee = match bare(grantee) {
        everyone if everyone.is_empty() => "PUBLIC".to_owned(),
        name => name,
    };
    let mut found = Vec::new();
    let mut letters = letters.chars().peekable();
    while let Some(letter) = letters.next() {
        let grantable = letters.next_if_eq(&'*').is_some() || grantee == owner;
        let known = PRIVILEGES.iter().find(|(known, ..)| *known == letter);
        if let Some((_, name, of_columns)) = known {
            found.push(Grant {
                grantor: bare(grantor),
                grantee: grantee.clone(),
                name,
                of_columns: *of_columns,
                grantable,
            });
        }
    }
    found
}

/// Whether the session's role is that role, or one of its members.
fn is_enabled(context: &Context, role: &str) -> bool {
    let Some(user) = context.catalog.role_named(&context.user) else {
        return false;
    };
    let named = |id: &RoleId| {
        let found: Option<&std::sync::Arc<Role>> = context.catalog.roles.get(id);
        found.is_some_and(|group| group.name == role)
    };
    role == "PUBLIC"
        || user.name == role
        || user.may(Privilege::Superuser)
        || user.member_of.iter().any(named)
}

fn yes(value: bool) -> &'static str {
    if value { "YES" } else { "NO" }
}

fn tables<'a>(context: &'a Context, rows: &mut Rows<'a>) -> Result<(), Error> {
    let home = context.home()?;
    for relation in objects::user_relations(home) {
        if matches!(relation, Relation::Index(..)) {
            continue;
        }
        for grant in grants(context, relation) {
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
        let names: Vec<String> = match relation {
            Relation::Index(..) | Relation::System(_) => continue,
            Relation::Table(table) | Relation::Chunk(table, ..) | Relation::Kept(table, _) => {
                let columns = table.columns.iter();
                columns.map(|column| column.name.clone()).collect()
            }
            Relation::View(view) => {
                let columns = (context.view_columns)(view).into_iter();
                columns.map(|(name, _)| name).collect()
            }
        };
        for grant in grants(context, relation) {
            let shown = is_enabled(context, &grant.grantee) || is_enabled(context, &grant.grantor);
            if !grant.of_columns || !shown {
                continue;
            }
            for name in &names {
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
    fn an_aclitem_is_read() {
        let shown = |item| {
            let found = read(item, "boss").into_iter();
            found
                .map(|grant| {
                    format!(
                        "{}:{}:{}:{}",
                        grant.grantee, grant.name, grant.grantable, grant.grantor
                    )
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown("\"a \"\"b\"=ar*/boss"),
            ["a \"b:INSERT:false:boss", "a \"b:SELECT:true:boss"]
        );
        assert_eq!(shown("=r/boss"), ["PUBLIC:SELECT:false:boss"]);
        assert_eq!(shown("boss=w/boss"), ["boss:UPDATE:true:boss"]);
        assert!(shown("nothing").is_empty());
    }
}
