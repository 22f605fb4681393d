//! Starting the built program.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_postgres::{Client, Config, NoTls};

/// Runs a command of the program to its end.
pub(crate) fn run(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

/// The program, with nothing on its stdin.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronolith"));
    command.stdin(Stdio::null());
    command
}

/// What a finished command wrote to stdout.
pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// What a finished command wrote to stderr.
pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A server on a port of its own, killed when it is dropped.
pub(crate) struct Serving {
    child: Child,
    pub(crate) port: u16,
    log: Arc<Mutex<String>>,
}

impl Serving {
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_chronolith"))
            .args(["serve", "--data-dir"])
            .arg(dir)
            .args(match more.contains(&"--listen") {
                true => &[][..],
                false => &["--listen", "127.0.0.1:0"],
            })
            .args(more)
            .env_remove("RUST_LOG")
            .env_remove("POSTGRES_PASSWORD")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        let port = loop {
            let Some(Ok(line)) = lines.next() else {
                panic!("the server ended before it listened:\n{seen}");
            };
            let port = line
                .split("listening on")
                .nth(1)
                .and_then(|rest| rest.split("port ").nth(1));
            // A line of JSON goes on behind it.
            let digits = port.and_then(|port| port.split(|c: char| !c.is_ascii_digit()).next());
            if let Some(port) = digits.and_then(|port| port.parse().ok()) {
                break port;
            }
            seen.push_str(&line);
            seen.push('\n');
        };
        // A full pipe would stop the server at its next log line.
        let log = Arc::new(Mutex::new(seen));
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        Self { child, port, log }
    }

    /// The log once it holds a text, or as it is after some seconds.
    pub(crate) fn log_with(&self, text: &str) -> String {
        for _ in 0..100 {
            let log = self.log.lock().unwrap().clone();
            if log.contains(text) {
                return log;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        self.log.lock().unwrap().clone()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    }

    pub(crate) async fn connect(&self) -> Client {
        self.try_connect().await.unwrap()
    }

    pub(crate) async fn connect_to(&self, database: &str) -> Client {
        self.try_connect_to(database).await.unwrap()
    }

    pub(crate) async fn try_connect(&self) -> Result<Client, tokio_postgres::Error> {
        self.try_connect_to("postgres").await
    }

    pub(crate) async fn connect_as(&self, user: &str) -> Result<Client, tokio_postgres::Error> {
        self.enter(user, "postgres").await
    }

    async fn try_connect_to(&self, database: &str) -> Result<Client, tokio_postgres::Error> {
        self.enter("postgres", database).await
    }

    async fn enter(&self, user: &str, database: &str) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user(user)
            .dbname(database)
            .connect_timeout(Duration::from_secs(10));
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// As power loss would, for the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; its exit code.
    pub(crate) fn terminate(mut self) -> Option<i32> {
        self.signal("-TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
