//! The `chronolith` program: serve, demo, sql, inspect and verify.
//!
//! Owns the terminal: results go to stdout, everything else to stderr. Knows databases by the
//! embedding API and the server by its door, and nothing below either. Start at [`args`].
//!
//! Exit codes: 0 done; 1 it failed, or `verify` found damage; 2 the command line was wrong;
//! 74 the disk failed a sync, so that what it holds must be read afresh.

mod args;
mod audit;
mod container;
mod demo;
mod directory;
mod inspect;
mod log;
mod serve;
mod shell;
mod style;
mod verify;

use std::process::ExitCode;

use clap::Parser;

use args::{Args, AuditCommand, Command};
use log::Log;

/// Loading and scanning free large buffers on threads other than those that made them, where the
/// system's allocator keeps what it should give back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    log_of(&args).start();
    let result = match args.command {
        Command::Serve(args) => serve::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Sql(args) => shell::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Audit(AuditCommand::Verify(args)) => audit::verify(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            style::print_error(&error);
            ExitCode::FAILURE
        }
    }
}

/// Only a server tells what it does; the other commands say what goes wrong.
fn log_of(args: &Args) -> Log {
    match &args.command {
        // What is wrong with its settings is told when it starts.
        Command::Serve(args) => serve::log_of(args).unwrap_or(Log::server()),
        Command::Demo(_)
        | Command::Sql(_)
        | Command::Inspect(_)
        | Command::Verify(_)
        | Command::Audit(_) => Log::command(),
    }
}
