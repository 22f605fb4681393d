//! Reading statements from the terminal, a file or the command line, and running them.

use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use chronolith::{Connection, Database};
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::split::{Splitter, statements};
use super::{Format, meta, print_rows};
use crate::args::SqlArgs;
use crate::{directory, style};

/// Runs the command.
pub(crate) fn run(args: &SqlArgs) -> Result<ExitCode> {
    let db = Database::open(&args.directory.data_dir)?;
    let mut connection = db.connect_to(&args.dbname, &args.username)?;
    let format = if args.no_align {
        Format::Plain
    } else {
        Format::Aligned
    };
    let done = if let Some(file) = &args.file {
        run_text(&mut connection, &read(file)?, format)?
    } else if !args.commands.is_empty() {
        let mut done = true;
        for command in &args.commands {
            done = done && run_text(&mut connection, command, format)?;
        }
        done
    } else if io::stdin().is_terminal() {
        interactive(&mut connection, args, format)?;
        true
    } else {
        run_text(&mut connection, &read(Path::new("-"))?, format)?
    };
    drop(connection);
    db.close()?;
    Ok(if done {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn read(path: &Path) -> Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))
}

/// Runs every statement of a text and stops at the first that fails; whether none did.
fn run_text(connection: &mut Connection, text: &str, format: Format) -> Result<bool> {
    for statement in statements(text) {
        let done = if statement.starts_with('\\') {
            meta::run(connection, statement, format)?.is_continue()
        } else {
            run_one(connection, statement, format)?
        };
        if !done {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs one statement and prints what it gives, or its error; whether it succeeded.
pub(super) fn run_one(connection: &mut Connection, sql: &str, format: Format) -> Result<bool> {
    match connection.run(sql) {
        Ok(results) => {
            for rows in &results {
                print_rows(rows, format)?;
            }
            Ok(true)
        }
        Err(error) => {
            eprint!("{}", style::describe(&error, Some(sql)));
            Ok(false)
        }
    }
}

fn interactive(connection: &mut Connection, args: &SqlArgs, format: Format) -> Result<()> {
    directory::must_exist(&args.directory.data_dir)?;
    style::print("Chronolith's shell: statements end with ;  \\? helps, \\q ends.\n")?;
    let mut editor = DefaultEditor::new()?;
    let mut splitter = Splitter::default();
    loop {
        let prompt = if splitter.is_empty() {
            format!("{}=# ", args.dbname)
        } else {
            format!("{}-# ", args.dbname)
        };
        match editor.readline(&prompt) {
            Ok(line) => {
                // History is a comfort: a line it cannot keep is not worth an error.
                let _ = editor.add_history_entry(line.as_str());
                if splitter.is_empty() && line.trim_start().starts_with('\\') {
                    if meta::run(connection, line.trim(), format)?.is_break() {
                        return Ok(());
                    }
                    continue;
                }
                for statement in splitter.push(&line) {
                    run_one(connection, &statement, format)?;
                }
            }
            Err(ReadlineError::Interrupted) => splitter = Splitter::default(),
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}
