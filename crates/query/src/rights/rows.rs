//! Which rows the current role sees and makes: row-level security.

use chronolith_catalog::{PolicyCommand, Privilege, RowSecurity};
use chronolith_types::{RoleId, SqlState, TableId};

use super::check::is_invoker;
use crate::error::Error;
use crate::session::Shared;

/// The conditions that hold for a command, as SQL over the table's columns.
#[derive(Debug, Clone, Default)]
pub struct RowPolicies {
    /// One of them must be met.
    pub permissive: Vec<String>,
    /// All of them must be met: with their names.
    pub restrictive: Vec<(String, String)>,
}

impl RowPolicies {
    /// Those that say what both say.
    pub(crate) fn and(mut self, other: &Self) -> Self {
        let any = match other.permissive.as_slice() {
            [] => "false".to_owned(),
            texts => format!("({})", texts.join(") OR (")),
        };
        self.restrictive.push((String::new(), any));
        self.restrictive.extend(other.restrictive.iter().cloned());
        self
    }

    fn of(
        security: &RowSecurity,
        command: PolicyCommand,
        roles: &std::collections::BTreeSet<RoleId>,
        check: bool,
    ) -> Self {
        let mut made = Self::default();
        for policy in security.of(command, roles) {
            let text = match check {
                true => policy.check.as_ref().or(policy.using.as_ref()),
                false => policy.using.as_ref(),
            };
            match (text, policy.permissive) {
                (None, _) => {}
                (Some(text), true) => made.permissive.push(text.clone()),
                (Some(text), false) => made.restrictive.push((policy.name.clone(), text.clone())),
            }
        }
        made.restrictive.sort();
        made
    }
}

impl Shared {
    /// What row-level security says of a table's rows to whoever reads them, the owner of a view or
    /// the current role; None where it says nothing. With `check` it is asked of rows that are made.
    ///
    /// # Errors
    /// 42501 where `row_security` is off and it says something.
    pub(crate) fn row_policies(
        &self,
        table: TableId,
        view: Option<u32>,
        command: PolicyCommand,
        check: bool,
    ) -> Result<Option<RowPolicies>, Error> {
        let catalog = self.catalog();
        let Some(home) = catalog.databases.get(&self.database) else {
            return Ok(None);
        };
        let Some(security) = home.row_security.get(&table).filter(|of| of.enabled) else {
            return Ok(None);
        };
        let current = self.role(&catalog)?;
        let role = match view.map(TableId) {
            None => current,
            Some(view) if is_invoker(home, view) => current,
            Some(view) => home.relation_owner(view).unwrap_or(current),
        };
        let known = catalog.roles.get(&role);
        if known.is_some_and(|role| role.may(Privilege::BypassRowSecurity)) {
            return Ok(None);
        }
        let owner = home.relation_owner(table).unwrap_or_default();
        let owns = catalog.acts_as(role, owner);
        if owns && !security.forced {
            return Ok(None);
        }
        let on = self.with(|state| state.settings.get("row_security") != Some("off"));
        if !on {
            let name = home
                .tables
                .get(&table)
                .map_or("", |table| table.name.as_str());
            let error = Error::new(
                SqlState::INSUFFICIENT_PRIVILEGE,
                format!(
                    "query would be affected by row-level security policy for table \"{name}\""
                ),
            );
            return Err(match owns {
                true => error.hint(
                    "To disable the policy for the table's owner, use ALTER TABLE NO FORCE ROW LEVEL SECURITY.",
                ),
                false => error,
            });
        }
        let roles = catalog.roles_of(role);
        Ok(Some(RowPolicies::of(security, command, &roles, check)))
    }

    /// Whether row-level security says anything of a table's rows to the current role.
    ///
    /// # Errors
    /// As [`Shared::row_policies`].
    pub(crate) fn has_row_policies(&self, table: TableId) -> Result<bool, Error> {
        let found = self.row_policies(table, None, PolicyCommand::All, false)?;
        Ok(found.is_some())
    }
}
