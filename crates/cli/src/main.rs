//! The `chronolith` program. Owns stdout: everything a person reads is printed here.
//!
//! Knows the embedding API alone. So far it looks into a data directory and verifies it.

use std::path::PathBuf;
use std::process::ExitCode;

use chronolith::Database;
use clap::{Parser, Subcommand};

/// A time-series database for market data.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show what is in a data directory.
    Inspect {
        /// The data directory.
        #[arg(long)]
        data_dir: PathBuf,
    },
    /// Check every checksum of a data directory; exits with 1 and names what is damaged.
    Verify {
        /// The data directory.
        #[arg(long)]
        data_dir: PathBuf,
    },
}

#[expect(clippy::print_stdout, reason = "this is the room that owns stdout")]
fn main() -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    match Args::parse().command {
        Command::Inspect { data_dir } => {
            println!("{}", open(&data_dir)?.overview());
            Ok(ExitCode::SUCCESS)
        }
        Command::Verify { data_dir } => {
            let damage = open(&data_dir)?.verify();
            for error in &damage {
                println!("{}: {error}", error.sqlstate());
            }
            println!("{} damaged", damage.len());
            Ok(if damage.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
    }
}

/// Opens a directory that is there: looking must not make one.
fn open(path: &std::path::Path) -> anyhow::Result<Database> {
    anyhow::ensure!(
        path.is_dir(),
        "there is no data directory {}",
        path.display()
    );
    Ok(Database::open(path)?)
}
