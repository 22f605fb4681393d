//! The shell's backslash commands.

use std::ops::ControlFlow;

use anyhow::Result;
use chronolith::Connection;

use super::Format;
use super::session::run_one;
use crate::style;

const HELP: &str = "\
  \\d          tables and views
  \\d NAME     the columns of a table
  \\dt         tables
  \\dn         schemas
  \\l          databases
  \\q          end
";

const RELATIONS: &str = "\
SELECT n.nspname AS \"Schema\", c.relname AS \"Name\",
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'i' THEN 'index' ELSE 'table' END AS \"Type\"
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname NOT LIKE '\\_timescaledb%' AND c.relkind IN ";

/// Runs a backslash command; breaks when it ends the shell.
pub(super) fn run(
    connection: &mut Connection,
    line: &str,
    format: Format,
) -> Result<ControlFlow<()>> {
    let mut words = line.trim_end_matches(';').split_whitespace();
    let sql = match (words.next(), words.next()) {
        (Some("\\q"), _) => return Ok(ControlFlow::Break(())),
        (Some("\\?"), _) => {
            style::print(HELP)?;
            return Ok(ControlFlow::Continue(()));
        }
        (Some("\\d"), None) => format!("{RELATIONS} ('r', 'v') ORDER BY 1, 2"),
        (Some("\\dt"), None) => format!("{RELATIONS} ('r') ORDER BY 1, 2"),
        (Some("\\d" | "\\dt"), Some(name)) => columns_of(name),
        (Some("\\dn"), _) => {
            "SELECT nspname AS \"Name\" FROM pg_catalog.pg_namespace ORDER BY 1".to_owned()
        }
        (Some("\\l"), _) => {
            "SELECT datname AS \"Name\" FROM pg_catalog.pg_database ORDER BY 1".to_owned()
        }
        (command, _) => {
            style::print(&format!(
                "invalid command {}: \\? helps\n",
                command.unwrap_or_default()
            ))?;
            return Ok(ControlFlow::Continue(()));
        }
    };
    run_one(connection, &sql, format)?;
    Ok(ControlFlow::Continue(()))
}

fn columns_of(name: &str) -> String {
    let (schema, table) = match name.split_once('.') {
        Some((schema, table)) => (Some(schema), table),
        None => (None, name),
    };
    let table = table.replace('\'', "''");
    let schema = match schema {
        Some(schema) => format!("AND table_schema = '{}'", schema.replace('\'', "''")),
        None => String::new(),
    };
    format!(
        "SELECT column_name AS \"Column\", data_type AS \"Type\", \
         CASE is_nullable WHEN 'NO' THEN 'not null' ELSE '' END AS \"Nullable\", \
         column_default AS \"Default\" \
         FROM information_schema.columns WHERE table_name = '{table}' {schema} \
         ORDER BY table_schema, ordinal_position"
    )
}
