//! `chronolith inspect`: what is in a data directory.

use std::process::ExitCode;

use anyhow::Result;
use chronolith::{Database, TableSummary};

use crate::args::DirectoryArgs;
use crate::{directory, style};

/// Runs the command.
pub(crate) fn run(args: &DirectoryArgs) -> Result<ExitCode> {
    directory::must_exist(&args.data_dir)?;
    let db = Database::builder().jobs(false).open(&args.data_dir)?;
    let mut text = String::new();
    for database in db.inspect() {
        text.push_str(&format!("database {}\n", database.name));
        if database.tables.is_empty() {
            text.push_str("  no tables\n");
        }
        for table in &database.tables {
            describe(table, &mut text);
        }
    }
    style::print(&text)?;
    db.close()?;
    Ok(ExitCode::SUCCESS)
}

fn describe(table: &TableSummary, text: &mut String) {
    let kind = if table.hypertable {
        "hypertable"
    } else {
        "table"
    };
    text.push_str(&format!(
        "  {kind} {}.{}: {} in cold parts, {} rows\n",
        table.schema,
        table.name,
        style::bytes(table.chunks.iter().map(|chunk| chunk.bytes).sum()),
        style::thousands(table.chunks.iter().map(|chunk| chunk.rows).sum()),
    ));
    if !table.hypertable {
        return;
    }
    for chunk in &table.chunks {
        let state = if chunk.compressed { ", compressed" } else { "" };
        text.push_str(&format!(
            "    {} [{}, {}): {} parts, {} rows, {}{state}\n",
            chunk.name,
            chunk.start,
            chunk.end,
            chunk.parts,
            style::thousands(chunk.rows),
            style::bytes(chunk.bytes),
        ));
    }
}
