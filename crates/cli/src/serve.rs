//! `chronolith serve`: a data directory behind a socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use chronolith::{Database, SqlState};
use chronolith_monitor::Monitor;
use chronolith_server::{Server, ServerConfig, TlsFiles};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::ServeArgs;
use crate::container::{self, Container};
use crate::log::Log;
use crate::{directory, style};

/// What `sysexits.h` calls an input or output error: the disk failed a sync, and only opening the
/// directory afresh shows what it holds.
const EXIT_DISK_FAILED: u8 = 74;

/// Runs the command.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode> {
    log_of(args)?;
    let data_dir = data_dir(args)?;
    let mut table = directory::table(&args.settings)?;
    from_files(&mut table, &data_dir);
    let (mut server, mut rest) = split(table, &args.settings.set)?;
    if server.tls.is_some() {
        rest.1.push(("ssl".to_owned(), "on".to_owned()));
    }
    server.listen = vec![args.listen];
    server.local.data_dir.clone_from(&data_dir);
    server.plaintext = args.plaintext;
    let container = Container::of_environment()?;
    let new = container::is_new(&data_dir)?;
    let config = directory::config(&rest.0, &rest.1)?;
    let runtime = runtime(config.threads)?;
    let db = Database::builder()
        .config(config)
        .runtime(runtime.handle().clone())
        .open(&data_dir)?;
    tracing::info!(directory = %data_dir.display(), "database open");
    if new {
        container.initialise(
            &db,
            &runtime,
            &args.init_dir,
            (args.init_server, args.plaintext),
        )?;
        tracing::info!("PostgreSQL init process complete; ready for start up.");
    } else {
        tracing::info!("the data directory holds a database: scripts of an empty one are skipped");
        if let Some(password) = &container.password {
            set_first_password(&db, &container.user, password)?;
        }
    }
    until_signal(&runtime, db, (server, args.metrics), false)
}

/// What the settings say of the log.
pub(crate) fn log_of(args: &ServeArgs) -> Result<Log> {
    let table = directory::table(&args.settings)?;
    let mut log = Log::server();
    let file = table
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)));
    let given = args.settings.set.iter();
    for (name, value) in file.chain(given.map(|(name, value)| (name.as_str(), value.as_str()))) {
        let taken = log.set(&name.to_lowercase(), value);
        taken.map_err(|problem| anyhow!(problem))?;
    }
    Ok(log)
}

/// Serves the demo's database, and tells how to connect.
pub(crate) fn demo(db: Database, listen: SocketAddr) -> Result<ExitCode> {
    let runtime = runtime(db.config().threads)?;
    let config = ServerConfig {
        listen: vec![listen],
        ..ServerConfig::default()
    };
    until_signal(&runtime, db, (config, None), true)
}

/// As in PostgreSQL's images, the variable counts for a new database alone: a password that was
/// changed since stays.
fn set_first_password(db: &Database, user: &str, password: &str) -> Result<()> {
    if db.role(user).is_some_and(|role| role.verifier.is_none()) {
        db.set_password(user, password)?;
        tracing::info!("role \"{user}\" has the password of POSTGRES_PASSWORD now");
    }
    Ok(())
}

/// The data directory of the command line, or that of the variable.
fn data_dir(args: &ServeArgs) -> Result<PathBuf> {
    if let Some(dir) = &args.data_dir {
        return Ok(dir.clone());
    }
    let named = std::env::var_os("PGDATA").filter(|dir| !dir.is_empty());
    named
        .map(PathBuf::from)
        .context("no data directory is given: use --data-dir or the variable PGDATA")
}

/// The settings of the database: those of a file, and those of the command line.
type DatabaseSettings = (toml::Table, Vec<(String, String)>);

/// Adds what the data directory's files say of settings that count before it is opened; nothing that
/// was said elsewhere is changed.
fn from_files(table: &mut toml::Table, data_dir: &Path) {
    const OWN: [&str; 10] = [
        "hot_memory",
        "query_memory",
        "threads",
        "max_connections",
        "superuser_reserved_connections",
        "authentication_timeout",
        "unix_socket_directories",
        "unix_socket_permissions",
        "unix_socket_group",
        "chronolith.max_connections_per_address",
    ];
    if !data_dir.is_dir() {
        return;
    }
    for (name, value) in chronolith::file_settings(data_dir) {
        let value = match name.as_str() {
            // Beside the files that name them.
            "ssl_cert_file" | "ssl_key_file" | "ssl_ca_file" if !value.is_empty() => {
                data_dir.join(value).display().to_string()
            }
            name if OWN.contains(&name) => value,
            _ => continue,
        };
        table.entry(name).or_insert(toml::Value::String(value));
    }
}

/// Takes the server's own settings out; the others are the database's.
fn split(
    mut table: toml::Table,
    set: &[(String, String)],
) -> Result<(ServerConfig, DatabaseSettings)> {
    let mut server = ServerConfig::default();
    let mut tls = TlsNames::default();
    let mut taken = Vec::new();
    for (name, value) in &table {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        if take(&mut server, &mut tls, name, &text)? && !shown(name) {
            taken.push(name.clone());
        }
    }
    for name in taken {
        table.remove(&name);
    }
    let mut rest = Vec::new();
    for (name, value) in set {
        if !take(&mut server, &mut tls, name, value)? || shown(name) {
            rest.push((name.clone(), value.clone()));
        }
    }
    server.tls = match (tls.certificate, tls.key) {
        (Some(certificate), Some(key)) => Some(TlsFiles {
            certificate,
            key,
            authorities: tls.authorities,
        }),
        (None, None) if tls.authorities.is_none() => None,
        _ => bail!("TLS needs both ssl_cert_file and ssl_key_file"),
    };
    Ok((server, (table, rest)))
}

/// Whether sessions are told of a setting of the server's.
fn shown(name: &str) -> bool {
    !name.to_lowercase().starts_with("ssl_")
}

#[derive(Debug, Default)]
struct TlsNames {
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    authorities: Option<PathBuf>,
}

/// Sets what is the server's; whether it was. The names are PostgreSQL's.
fn take(server: &mut ServerConfig, tls: &mut TlsNames, name: &str, value: &str) -> Result<bool> {
    let number = || {
        value
            .trim()
            .parse::<usize>()
            .with_context(|| format!("{name} takes a whole number, not \"{value}\""))
    };
    match name.to_lowercase().as_str() {
        "ssl_cert_file" => tls.certificate = Some(PathBuf::from(value)),
        "ssl_key_file" => tls.key = Some(PathBuf::from(value)),
        "ssl_ca_file" => {
            tls.authorities = Some(value)
                .filter(|name| !name.is_empty())
                .map(PathBuf::from);
        }
        "unix_socket_directories" => {
            let names = value.split(',').map(|name| name.trim().trim_matches('"'));
            let names = names.filter(|name| !name.is_empty());
            server.local.directories = names.map(PathBuf::from).collect();
        }
        "unix_socket_permissions" => server.local.permissions = permissions(value)?,
        "unix_socket_group" => {
            let group = value.trim();
            server.local.group = Some(group.to_owned()).filter(|group| !group.is_empty());
        }
        "chronolith.max_connections_per_address" => server.address_connections_max = number()?,
        "max_connections" => server.connections_max = number()?,
        "superuser_reserved_connections" => server.connections_reserved = number()?,
        "authentication_timeout" => {
            let seconds = u64::try_from(number()?).unwrap_or(u64::MAX);
            server.auth_timeout = Duration::from_secs(seconds);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Permissions of a file: octal where they begin with 0, as PostgreSQL reads numbers.
fn permissions(value: &str) -> Result<u32> {
    let value = value.trim();
    let read = match value.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => u32::from_str_radix(digits, 8),
        _ => value.parse(),
    };
    read.ok()
        .filter(|mode| *mode <= 0o777)
        .with_context(|| format!("unix_socket_permissions takes 0000 to 0777, not \"{value}\""))
}

fn runtime(threads: usize) -> Result<Runtime> {
    // Binding and planning recurse with the statement, so that these threads want a deep stack.
    const STACK_BYTES: usize = 8 * 1024 * 1024;
    // Who waits for a lock keeps its thread, and another takes up the work: with fewer than there are
    // sessions, those who wait could keep the one for whom they wait from ending. Made when needed.
    const WAITING_MAX: usize = 1 << 16;
    Builder::new_multi_thread()
        .worker_threads(threads)
        .max_blocking_threads(WAITING_MAX)
        .thread_name("chronolith")
        .thread_stack_size(STACK_BYTES)
        .enable_all()
        .build()
        .context("could not start threads")
}

/// Serves until Ctrl-C or SIGTERM, then lets the database go cleanly.
fn until_signal(
    runtime: &Runtime,
    db: Database,
    (config, metrics): (ServerConfig, Option<SocketAddr>),
    demo: bool,
) -> Result<ExitCode> {
    let served = runtime.block_on(async {
        // Asked for before the port opens: a signal that comes at once must find its handler.
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let reloaded = db.clone();
        let reload = tokio::spawn(async move {
            while hangup.recv().await.is_some() {
                reloaded.reload();
            }
        });
        let backend = chronolith_server::backend(db.clone());
        let server = Server::bind(backend, config).await?;
        let monitor = match metrics {
            Some(address) => Some(Monitor::bind(db.clone(), address).await?),
            None => None,
        };
        if demo && let Some(address) = server.addresses().first() {
            style::print(&format!(
                "\nServing it until Ctrl-C. Connect with:\n\n  psql -h {} -p {} -U postgres\n",
                address.ip(),
                address.port()
            ))?;
        }
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        // Whoever asks while sessions end is told, until the last of them has.
        let (ended, wait) = tokio::sync::oneshot::channel::<()>();
        let watched = async move {
            if let Some(monitor) = monitor {
                monitor.run(async { drop(wait.await) }).await;
            }
        };
        let served = async move {
            let served = server.run(stop).await;
            drop(ended);
            served
        };
        let (served, ()) = tokio::join!(served, watched);
        reload.abort();
        served?;
        anyhow::Ok(())
    });
    let closed = db.close();
    served?;
    match closed {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.code == SqlState::IO_ERROR => {
            style::print_error(&error.into());
            Ok(ExitCode::from(EXIT_DISK_FAILED))
        }
        Err(error) => Err(error.into()),
    }
}
