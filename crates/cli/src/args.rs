//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand};

/// A time-series database for market data, in one binary.
#[derive(Debug, Parser)]
#[command(name = "chronolith", version, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed or damaged, 2 wrong command line, 74 failed disk."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a data directory to Postgres clients until Ctrl-C or SIGTERM
    Serve(ServeArgs),
    /// See it work: generate a market feed, load, query and compress it, then serve it
    Demo(DemoArgs),
    /// Run SQL on a data directory without a server: a shell, a command or a file
    Sql(SqlArgs),
    /// Show what a data directory holds: databases, tables, chunks, bytes
    Inspect(DirectoryArgs),
    /// Check every checksum of a data directory, and name what is damaged
    Verify(DirectoryArgs),
    /// What was done to what exists, and who came in
    #[command(subcommand)]
    Audit(AuditCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Check the chain of the audit log, and name the first record that does not hold
    Verify(AuditArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct AuditArgs {
    #[command(flatten)]
    pub(crate) directory: DirectoryArgs,
    /// The hash of a record that was there once, and has to be there still
    #[arg(long, value_name = "HASH")]
    pub(crate) head: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DirectoryArgs {
    /// The data directory
    #[arg(short = 'D', long, value_name = "DIR")]
    pub(crate) data_dir: PathBuf,
}

/// Settings, as `serve` and `sql` take them.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct SettingArgs {
    /// A setting, for example -c hot_memory=1GB or -c timezone=Europe/Zurich; may repeat
    #[arg(short = 'c', value_name = "NAME=VALUE", value_parser = name_and_value, action = ArgAction::Append)]
    pub(crate) set: Vec<(String, String)>,
    /// A TOML file of settings; -c goes before it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// The data directory; that of the variable PGDATA when it is not given
    #[arg(short = 'D', long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The name that images of PostgreSQL are started with
    #[arg(hide = true, value_parser = ["postgres"])]
    pub(crate) program: Option<String>,
    /// Where the scripts of an empty data directory are: *.sql, *.sql.gz and *.sh, in order of names
    #[arg(long, value_name = "DIR", default_value = crate::container::SCRIPTS)]
    pub(crate) init_dir: PathBuf,
    /// Serve an empty data directory to its scripts though none of them is the shell's
    #[arg(long, hide = true)]
    pub(crate) init_server: bool,
    /// Let clients of other machines in without TLS; they need a password all the same
    #[arg(long)]
    pub(crate) plaintext: bool,
    /// The address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5432")]
    pub(crate) listen: SocketAddr,
    /// Where /metrics, /healthz and /readyz are answered, without a password; nowhere unless given
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) metrics: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// How many ticks to generate
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub(crate) rows: u64,
    /// Over how many days they spread
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) days: u32,
    /// Of how many symbols
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) symbols: u32,
    /// The same seed gives the same feed
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Where the demo's database lies
    #[arg(long, value_name = "DIR", default_value = "./chronolith-demo")]
    pub(crate) dir: PathBuf,
    /// The address and port to serve on afterwards
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5432")]
    pub(crate) listen: SocketAddr,
    /// End instead of serving
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SqlArgs {
    #[command(flatten)]
    pub(crate) directory: DirectoryArgs,
    /// Run this and end; may repeat
    #[arg(short = 'c', long = "command", value_name = "SQL", action = ArgAction::Append)]
    pub(crate) commands: Vec<String>,
    /// Run the statements of this file and end; - is standard input
    #[arg(
        short = 'f',
        long = "file",
        value_name = "FILE",
        conflicts_with = "commands"
    )]
    pub(crate) file: Option<PathBuf>,
    /// The database to connect to
    #[arg(short = 'd', long, default_value = "postgres")]
    pub(crate) dbname: String,
    /// The role to be
    #[arg(short = 'U', long, default_value = "postgres")]
    pub(crate) username: String,
    /// Rows only: no head, no alignment, columns separated by |
    #[arg(short = 'A', long)]
    pub(crate) no_align: bool,
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.to_owned()))
        }
        _ => Err("write it as name=value".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn settings_are_names_and_values() {
        let args = Args::try_parse_from([
            "chronolith",
            "serve",
            "--data-dir",
            "d",
            "-c",
            "a=b=c",
            "-c",
            "x=",
        ]);
        let Command::Serve(serve) = args.unwrap().command else {
            panic!("not serve");
        };
        assert_eq!(
            serve.settings.set,
            [
                ("a".to_owned(), "b=c".to_owned()),
                ("x".to_owned(), String::new())
            ]
        );
        let wrong = Args::try_parse_from(["chronolith", "serve", "--data-dir", "d", "-c", "fast"]);
        assert!(wrong.unwrap_err().to_string().contains("name=value"));
    }

    #[test]
    fn an_unknown_option_is_answered_with_the_nearest_one() {
        let error = Args::try_parse_from(["chronolith", "demo", "--row", "5"]).unwrap_err();
        assert!(error.to_string().contains("--rows"), "{error}");
    }
}
