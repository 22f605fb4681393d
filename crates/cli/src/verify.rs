//! `chronolith verify`: every checksum of a data directory.

use std::process::ExitCode;

use anyhow::Result;

use crate::args::DirectoryArgs;
use crate::{directory, style};

/// Runs the command: 1 when something is damaged, and what.
pub(crate) fn run(args: &DirectoryArgs) -> Result<ExitCode> {
    directory::must_exist(&args.data_dir)?;
    let report = chronolith::verify(&args.data_dir)?;
    style::print(&format!(
        "log and checkpoint, and {} cold parts of {}\n",
        style::thousands(report.parts),
        style::bytes(report.bytes)
    ))?;
    if report.damages.is_empty() {
        style::print("no damage\n")?;
        return Ok(ExitCode::SUCCESS);
    }
    for damage in &report.damages {
        style::print(&style::describe(damage, None))?;
    }
    Ok(ExitCode::FAILURE)
}
