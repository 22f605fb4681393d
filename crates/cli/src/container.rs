//! What containers of PostgreSQL do when they start: the first role and database, and scripts that
//! run once on an empty data directory. Their variables and places, without a container.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use chronolith::{Connection, Database};
use chronolith_server::{Server, ServerConfig};
use tokio::runtime::Runtime;

use crate::shell::statements;

/// Where containers of PostgreSQL have the scripts.
pub(crate) const SCRIPTS: &str = "/docker-entrypoint-initdb.d";

/// What the environment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Container {
    /// The superuser to be made.
    pub(crate) user: String,
    /// Its password.
    pub(crate) password: Option<String>,
    /// The database to be made.
    pub(crate) database: String,
    /// How clients of other machines prove who they are.
    pub(crate) method: Option<String>,
}

impl Container {
    /// Reads `POSTGRES_USER`, `POSTGRES_PASSWORD` and `POSTGRES_DB`, or the files that the same names
    /// with `_FILE` name.
    pub(crate) fn of_environment() -> Result<Self> {
        let known = |name: &str| std::env::var(name).ok();
        Self::of(&known)
    }

    fn of(known: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        if known("POSTGRES_INITDB_ARGS").is_some_and(|args| !args.is_empty()) {
            tracing::info!("POSTGRES_INITDB_ARGS is ignored: there is no initdb");
        }
        let user = value(known, "POSTGRES_USER")?;
        let user = user.unwrap_or_else(|| "postgres".to_owned());
        let database = value(known, "POSTGRES_DB")?;
        Ok(Self {
            password: value(known, "POSTGRES_PASSWORD")?,
            database: database.unwrap_or_else(|| user.clone()),
            method: known("POSTGRES_HOST_AUTH_METHOD").filter(|method| !method.is_empty()),
            user,
        })
    }

    /// Makes what is asked for on a new data directory, and runs its scripts. The database is served to
    /// them on loopback when one of them is the shell's, and always when `served`: tools wait until the
    /// log of an image of PostgreSQL has said twice that the database is ready.
    pub(crate) fn initialise(
        &self,
        db: &Database,
        runtime: &Runtime,
        scripts: &Path,
        (served, plaintext): (bool, bool),
    ) -> Result<()> {
        let mut connection = db.connect()?;
        if self.user != "postgres" {
            let sql = format!("CREATE ROLE {} SUPERUSER LOGIN", quoted(&self.user));
            connection.run(&sql)?;
        }
        if let Some(password) = &self.password {
            db.set_password(&self.user, password)?;
            tracing::info!(
                "role \"{}\" has the password of POSTGRES_PASSWORD now",
                self.user
            );
        }
        if !matches!(self.database.as_str(), "postgres" | "template1") {
            let (name, owner) = (quoted(&self.database), quoted(&self.user));
            connection.run(&format!("CREATE DATABASE {name} OWNER {owner}"))?;
        }
        drop(connection);
        self.write_rules(db, scripts, plaintext)?;
        self.run_scripts(db, runtime, scripts, served)?;
        // What they wrote into files of settings and rules holds from the first client on.
        db.reload();
        Ok(())
    }

    /// Scripts append to `pg_hba.conf`, and where there was none their lines would be all of it. So
    /// they find the rules that hold without a file.
    fn write_rules(&self, db: &Database, scripts: &Path, plaintext: bool) -> Result<()> {
        let path = db.path().join("pg_hba.conf");
        let shell = |name: &std::ffi::OsStr| name.to_string_lossy().ends_with(".sh");
        let found = fs::read_dir(scripts).into_iter().flatten().flatten();
        let scripted = found.into_iter().any(|entry| shell(&entry.file_name()));
        if path.exists() || !(scripted || self.method.is_some()) {
            return Ok(());
        }
        let near = match self.password {
            Some(_) => "scram-sha-256",
            None => "trust",
        };
        let network = match plaintext {
            true => "host   ",
            false => "hostssl",
        };
        let far = self.method.as_deref().unwrap_or("scram-sha-256");
        let text = format!(
            "# TYPE  DATABASE  USER  ADDRESS       METHOD\n\
             local   all       all                 {near}\n\
             host    all       all   127.0.0.1/32  {near}\n\
             host    all       all   ::1/128       {near}\n\
             {network} all       all   all           {far}\n"
        );
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))
    }

    fn run_scripts(
        &self,
        db: &Database,
        runtime: &Runtime,
        scripts: &Path,
        served: bool,
    ) -> Result<()> {
        let mut paths = Vec::new();
        match fs::read_dir(scripts) {
            Ok(found) => {
                for entry in found {
                    paths.push(entry?.path());
                }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error).with_context(|| format!("could not read {}", scripts.display()));
            }
        }
        paths.sort();
        if !served && !paths.iter().any(|path| name_of(path).ends_with(".sh")) {
            return self.run_each(db, &paths, None);
        }
        // On this machine alone, and not where clients come.
        let config = ServerConfig {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))],
            ..ServerConfig::default()
        };
        let backend = chronolith_server::backend(db.clone());
        let server = runtime.block_on(Server::bind(backend, config))?;
        let port = server.addresses().first().map_or(0, SocketAddr::port);
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = runtime.spawn(server.run(async move {
            let _ = stopped.await;
        }));
        // Scripts of images are psql's, with its commands and COPY of what stands in them.
        let psql = served && has_psql();
        let ran = self.run_each(db, &paths, Some((port, psql)));
        let _ = stop.send(());
        runtime.block_on(serving)??;
        ran
    }

    /// Runs scripts; `served` is the port where they find the database, and whether SQL is psql's.
    fn run_each(
        &self,
        db: &Database,
        paths: &[PathBuf],
        served: Option<(u16, bool)>,
    ) -> Result<()> {
        let port = served.map_or(0, |(port, _)| port);
        let psql = served.is_some_and(|(_, psql)| psql);
        for path in paths {
            let name = name_of(path);
            if name.ends_with(".sql") {
                tracing::info!("running {}", path.display());
                if psql {
                    self.psql(path, Stdio::null(), port)?;
                    continue;
                }
                let text = fs::read_to_string(path)
                    .with_context(|| format!("could not read {}", path.display()))?;
                self.run_sql(db, path, &text)?;
            } else if name.ends_with(".sql.gz") {
                tracing::info!("running {}", path.display());
                if psql {
                    self.psql_of_gzip(path, port)?;
                    continue;
                }
                let text = unpacked(path)?;
                self.run_sql(db, path, &text)?;
            } else if name.ends_with(".sh") {
                tracing::info!("running {}", path.display());
                self.shell(path, port)?;
            } else {
                tracing::info!("ignoring {}", path.display());
            }
        }
        Ok(())
    }

    /// Runs a script by psql: its file, or what `input` brings of it.
    fn psql(&self, path: &Path, input: Stdio, port: u16) -> Result<()> {
        let mut command = Command::new("psql");
        command.args(["-X", "-w", "-v", "ON_ERROR_STOP=1", "-f"]);
        match name_of(path).ends_with(".sql") {
            true => command.arg(path),
            false => command.arg("-"),
        };
        self.run_beside(command.stdin(input), path, port)
    }

    fn psql_of_gzip(&self, path: &Path, port: u16) -> Result<()> {
        let mut gzip = Command::new("gzip");
        gzip.arg("-dc").arg(path).stdin(Stdio::null());
        let unpacking = gzip.stdout(Stdio::piped()).spawn();
        let mut unpacking =
            unpacking.with_context(|| format!("could not run gzip for {}", path.display()))?;
        let input = unpacking
            .stdout
            .take()
            .map_or_else(Stdio::null, Stdio::from);
        let ran = self.psql(path, input, port);
        let unpacked = unpacking.wait()?;
        ran?;
        match unpacked.success() {
            true => Ok(()),
            false => bail!("could not unpack {}: {unpacked}", path.display()),
        }
    }

    /// Runs the statements of a script, and stops at the first that fails.
    fn run_sql(&self, db: &Database, path: &Path, text: &str) -> Result<()> {
        let mut connection = db.connect_to(&self.database, &self.user)?;
        for statement in statements(text) {
            if statement.starts_with('\\') {
                self.command(db, &mut connection, statement)
                    .with_context(|| format!("in {}", path.display()))?;
                continue;
            }
            connection
                .run(statement)
                .map_err(anyhow::Error::from)
                .with_context(|| format!("in {}", path.display()))?;
        }
        Ok(())
    }

    /// The commands of psql that scripts begin with.
    fn command(&self, db: &Database, connection: &mut Connection, line: &str) -> Result<()> {
        let mut words = line.trim_end_matches(';').split_whitespace();
        match (words.next(), words.next()) {
            (Some("\\c" | "\\connect"), Some(database)) => {
                let database = database.trim_matches('"');
                *connection = db.connect_to(database, words.next().unwrap_or(&self.user))?;
                Ok(())
            }
            (Some("\\set"), Some("ON_ERROR_STOP")) | (Some("\\echo"), _) => Ok(()),
            (command, _) => bail!(
                "{} is a command of psql: call psql in a script that ends in .sh",
                command.unwrap_or_default()
            ),
        }
    }

    /// Runs a script of the shell, which finds the database at a port of loopback.
    fn shell(&self, path: &Path, port: u16) -> Result<()> {
        let mode = fs::metadata(path)?.permissions().mode();
        // One that cannot be run by itself is read by a shell: by bash, as in
        // PostgreSQL's images, for which it was written.
        let mut command = match mode & 0o111 {
            0 => {
                let bash = Path::new("/bin/bash");
                let mut command = Command::new(if bash.exists() { bash } else { Path::new("sh") });
                command.arg(path);
                command
            }
            _ => Command::new(path),
        };
        self.run_beside(command.stdin(Stdio::null()), path, port)
    }

    /// Runs a program for a script, beside the server.
    fn run_beside(&self, command: &mut Command, path: &Path, port: u16) -> Result<()> {
        command
            .envs(self.environment(port))
            // What the server says goes to stderr, and so does what its scripts say.
            .stdout(Stdio::from(std::io::stderr()));
        let status = command
            .status()
            .with_context(|| format!("could not run {}", path.display()))?;
        match status.success() {
            true => Ok(()),
            false => bail!("{} failed: {status}", path.display()),
        }
    }

    fn environment(&self, port: u16) -> BTreeMap<&'static str, String> {
        let mut known = BTreeMap::from([
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", port.to_string()),
            ("PGUSER", self.user.clone()),
            ("PGDATABASE", self.database.clone()),
            ("POSTGRES_USER", self.user.clone()),
            ("POSTGRES_DB", self.database.clone()),
        ]);
        if let Some(password) = &self.password {
            known.insert("PGPASSWORD", password.clone());
            known.insert("POSTGRES_PASSWORD", password.clone());
        }
        known
    }
}

/// A variable, or what is in the file that it names; empty is as good as not set.
fn value(known: &dyn Fn(&str) -> Option<String>, name: &str) -> Result<Option<String>> {
    let file = format!("{name}_FILE");
    let said = |name: &str| known(name).filter(|text| !text.is_empty());
    match (said(name), said(&file)) {
        (Some(_), Some(_)) => bail!("both {name} and {file} are set (but are exclusive)"),
        (Some(text), None) => Ok(Some(text)),
        (None, Some(path)) => {
            let path = PathBuf::from(path);
            let text = fs::read_to_string(&path).with_context(|| {
                format!("could not read {}, which {file} names", path.display())
            })?;
            // As the shell's $(< file) does.
            Ok(Some(text.trim_end_matches('\n').to_owned()))
        }
        (None, None) => Ok(None),
    }
}

/// Whether nothing is there yet. What a file system has of itself at its root is nothing: a volume that
/// is mounted there begins as new.
pub(crate) fn is_new(dir: &Path) -> Result<bool> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            for entry in entries {
                if entry?.file_name() != "lost+found" {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("could not read {}", dir.display())),
    }
}

fn has_psql() -> bool {
    let mut asked = Command::new("psql");
    asked.arg("--version").stdin(Stdio::null());
    asked.stdout(Stdio::null()).status().is_ok()
}

fn name_of(path: &Path) -> String {
    let name = path.file_name();
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn unpacked(path: &Path) -> Result<String> {
    let output = Command::new("gzip")
        .arg("-dc")
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("could not run gzip for {}", path.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("could not unpack {}: {}", path.display(), said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} is not UTF-8", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn of(known: &[(&str, &str)]) -> Result<Container> {
        let known: BTreeMap<String, String> = known
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Container::of(&|name| known.get(name).cloned())
    }

    #[test]
    fn a_database_is_called_as_its_user_unless_somebody_says_otherwise() {
        assert_eq!(of(&[]).unwrap().user, "postgres");
        assert_eq!(of(&[]).unwrap().database, "postgres");
        let trader = of(&[("POSTGRES_USER", "trader")]).unwrap();
        assert_eq!(trader.database, "trader");
        let named = of(&[("POSTGRES_USER", "trader"), ("POSTGRES_DB", "market")]).unwrap();
        assert_eq!((&*named.user, &*named.database), ("trader", "market"));
    }

    #[test]
    fn a_secret_is_read_from_its_file_and_not_from_both_places() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "s3cret\n").unwrap();
        let path = file.path().to_str().unwrap();
        let read = of(&[("POSTGRES_PASSWORD_FILE", path)]).unwrap();
        assert_eq!(read.password.as_deref(), Some("s3cret"));
        let both = of(&[("POSTGRES_PASSWORD_FILE", path), ("POSTGRES_PASSWORD", "x")]);
        assert!(both.unwrap_err().to_string().contains("exclusive"));
        let gone = of(&[("POSTGRES_PASSWORD_FILE", "/nowhere/at/all")]);
        assert!(gone.is_err());
    }
}
