//! What sessions do, told to the audit log.

use chronolith_engine::{AuditKind, AuditRecord};
use chronolith_sql::Statement;
use chronolith_types::SqlState;

use super::mask::masked;
use crate::error::Error;
use crate::instance::Instance;
use crate::session::Shared;

/// What a statement is to the audit log; None for one that changes nothing of what exists.
fn kind(statement: &Statement) -> Option<AuditKind> {
    Some(match statement {
        Statement::Refresh { .. } => return None,
        Statement::CreateRole { .. }
        | Statement::AlterRole { .. }
        | Statement::Grant(_)
        | Statement::DefaultPrivileges(_)
        | Statement::Policy(_)
        | Statement::DropPolicy { .. }
        | Statement::Owned { to: Some(_), .. } => AuditKind::Grant,
        Statement::Drop(_)
        | Statement::DropTrigger { .. }
        | Statement::Truncate { .. }
        | Statement::Owned { .. } => AuditKind::Drop,
        Statement::AlterSystem(_) => AuditKind::Config,
        _ => AuditKind::Ddl,
    })
}

impl Shared {
    /// Tells of a statement that has changed what exists, before that is committed, or was not
    /// allowed to.
    ///
    /// # Errors
    /// 53100, 58030 when it cannot be written: what is not told of is not done.
    pub(crate) fn audit_statement(
        &self,
        statement: &Statement,
        tag: &str,
        text: &str,
        ran: &Result<String, Error>,
    ) -> Result<(), Error> {
        let outcome = match ran {
            Ok(_) => "ok",
            Err(error) if error.code == SqlState::INSUFFICIENT_PRIVILEGE => error.code.as_str(),
            Err(_) => return Ok(()),
        };
        match kind(statement) {
            Some(kind) => self.audit(kind, outcome, tag, text),
            None => Ok(()),
        }
    }

    /// Tells of something that the session has done.
    ///
    /// # Errors
    /// As [`Self::audit_statement`].
    pub(crate) fn audit(
        &self,
        kind: AuditKind,
        outcome: &str,
        action: &str,
        text: &str,
    ) -> Result<(), Error> {
        let user = self.with(|state| {
            state.audited |= outcome == "ok" && state.transaction.is_some();
            state.user.clone()
        });
        let (client, _) = self.instance.ends_of(self.pid);
        let record = AuditRecord {
            kind,
            user: &user,
            database: &self.database_name,
            client: client.as_deref(),
            pid: Some(self.pid),
            outcome,
            action,
            text: &masked(text),
        };
        crate::session::blocking(|| self.instance.engine.audit().write(&record))?;
        Ok(())
    }

    /// A transaction has ended: what was told of is not so when it was rolled back.
    pub(crate) fn audit_end(&self, committed: bool) {
        let audited = self.with(|state| std::mem::take(&mut state.audited));
        if audited && !committed {
            let told = self.audit(AuditKind::Rollback, "ok", "ROLLBACK", "");
            if let Err(error) = told {
                tracing::error!("audit log: {}", error.message);
            }
        }
    }
}

impl Instance {
    /// Tells of a client that came in, or why it was refused.
    pub fn audit_login(
        &self,
        user: &str,
        database: &str,
        client: Option<&str>,
        refused: Option<(SqlState, &str)>,
    ) {
        let record = AuditRecord {
            kind: AuditKind::Login,
            user,
            database,
            client,
            pid: None,
            outcome: refused.as_ref().map_or("ok", |(code, _)| code.as_str()),
            action: "connect",
            text: refused.map_or("", |(_, message)| message),
        };
        if let Err(error) = self.engine.audit().write(&record) {
            // Refusing everybody would leave nobody to see to the disk.
            tracing::error!("audit log: {error}");
        }
    }
}
