//! `chronolith audit verify`: whether anybody changed the audit log.

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::args::AuditArgs;
use crate::{directory, style};

/// Runs the command: 1 when a record does not hold, and which. A server may run beside it.
pub(crate) fn verify(args: &AuditArgs) -> Result<ExitCode> {
    directory::must_exist(&args.directory.data_dir)?;
    let report = chronolith::verify_audit(&args.directory.data_dir, args.head.as_deref())?;
    style::print(&format!(
        "{} records hold, the last with hash {}\n",
        style::thousands(report.records),
        report.head
    ))?;
    match &report.problem {
        None => {}
        // What the next start cuts off was told to nobody.
        Some(problem @ chronolith::AuditProblem::Torn { .. }) => {
            style::print(&format!("{problem}\n"))?;
        }
        Some(problem) => {
            style::print(&format!("{problem}\n"))?;
            return Ok(ExitCode::FAILURE);
        }
    }
    if report.seen == Some(false) {
        bail!("no record has the hash that was asked for: records were taken off the end");
    }
    Ok(ExitCode::SUCCESS)
}
