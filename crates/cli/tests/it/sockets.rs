//! Coming in by sockets of the file system, and how many may come in at all.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_postgres::{Client, Config, NoTls};

use crate::program::{Serving, run, stderr};

async fn enter(dir: &Path, port: u16, user: &str) -> Result<Client, tokio_postgres::Error> {
    let mut config = Config::new();
    config.host_path(dir).port(port).user(user);
    config.dbname("postgres");
    let (client, connection) = config.connect(NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn told(error: &tokio_postgres::Error) -> (String, String) {
    let error = error.as_db_error().unwrap();
    (error.code().code().to_owned(), error.message().to_owned())
}

/// Who runs this, as the operating system calls them.
fn own_name() -> String {
    let output = std::process::Command::new("id")
        .arg("-un")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_socket_of_the_file_system_is_one_as_postgresql_makes_it() {
    let dir = tempfile::tempdir().unwrap();
    let sockets = tempfile::tempdir().unwrap();
    let place = sockets.path().display().to_string();
    let (named, mode) = (
        format!("unix_socket_directories={place}"),
        "unix_socket_permissions=0770",
    );
    let serving = Serving::start(dir.path(), &["-c", &named, "-c", mode]);
    let port = serving.port;
    let socket = sockets.path().join(format!(".s.PGSQL.{port}"));
    let lock = sockets.path().join(format!(".s.PGSQL.{port}.lock"));
    let client = enter(sockets.path(), port, "postgres").await.unwrap();
    let row = client
        .query_one(
            "SELECT inet_client_addr() IS NULL, client_addr IS NULL, client_port,
                 current_setting('unix_socket_directories')
             FROM pg_stat_activity WHERE pid = pg_backend_pid()",
            &[],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0) && row.get::<_, bool>(1));
    // PostgreSQL says -1: see COMPAT.md.
    assert_eq!(row.get::<_, Option<i32>>(2), None);
    assert_eq!(row.get::<_, String>(3), place);
    // What a client cancels by the same way.
    let token = client.cancel_token();
    let slow = client.batch_execute("SELECT pg_sleep(60)");
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(NoTls).await.unwrap();
    };
    let (ended, ()) = tokio::join!(slow, cancel);
    assert_eq!(told(&ended.unwrap_err()).0, "57014");

    let found = fs::metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o770);
    let text = fs::read_to_string(&lock).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].parse::<u32>().unwrap() > 0, "{text}");
    assert_eq!(lines[1], dir.path().display().to_string());
    assert!(lines[2].parse::<u64>().unwrap() > 1_700_000_000, "{text}");
    assert_eq!(lines[3..5], [port.to_string().as_str(), place.as_str()]);
    assert_eq!(
        fs::metadata(&lock).unwrap().permissions().mode() & 0o777,
        0o600
    );

    // Nobody else takes its place while it is there.
    let other = tempfile::tempdir().unwrap();
    let second = run(&[
        "serve",
        "--data-dir",
        &other.path().display().to_string(),
        "--listen",
        &format!("127.0.0.2:{port}"),
        "-c",
        &named,
    ]);
    assert_eq!(second.status.code(), Some(1));
    assert!(
        stderr(&second).contains("already exists"),
        "{}",
        stderr(&second)
    );
    assert_eq!(serving.terminate(), Some(0));
    assert!(!socket.exists() && !lock.exists());
}

#[tokio::test]
async fn what_a_killed_server_left_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let sockets = tempfile::tempdir().unwrap();
    let named = format!("unix_socket_directories={}", sockets.path().display());
    let serving = Serving::start(dir.path(), &["-c", &named]);
    let port = serving.port;
    serving.kill();
    assert!(sockets.path().join(format!(".s.PGSQL.{port}")).exists());
    let listen = format!("127.0.0.1:{port}");
    let serving = Serving::start(dir.path(), &["--listen", &listen, "-c", &named]);
    assert!(enter(sockets.path(), port, "postgres").await.is_ok());
    assert_eq!(serving.terminate(), Some(0));
}

#[tokio::test]
async fn rules_of_local_clients_trust_ask_and_look_who_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let sockets = tempfile::tempdir().unwrap();
    let named = format!("unix_socket_directories={}", sockets.path().display());
    let own = own_name();
    let first = Serving::start(dir.path(), &[]);
    let client = first.connect().await;
    client
        .batch_execute(&format!(
            "CREATE ROLE \"{own}\" LOGIN; CREATE ROLE other LOGIN; CREATE ROLE far LOGIN; CREATE ROLE mapped LOGIN"
        ))
        .await
        .unwrap();
    drop(client);
    assert_eq!(first.terminate(), Some(0));
    let maps = format!("m \"{own}\" mapped\nm\n");
    fs::write(dir.path().join("pg_ident.conf"), maps).unwrap();
    let rules = "local template1 all peer map=m\nlocal all far reject\nlocal all postgres trust\nlocal all all peer\nhost all far samehost trust\n";
    fs::write(dir.path().join("pg_hba.conf"), rules).unwrap();
    let serving = Serving::start(dir.path(), &["-c", &named]);
    let port = serving.port;
    assert!(enter(sockets.path(), port, "postgres").await.is_ok());
    assert!(enter(sockets.path(), port, &own).await.is_ok());
    let refused = async |user: &str| told(&enter(sockets.path(), port, user).await.err().unwrap());
    assert_eq!(
        refused("other").await,
        (
            "28000".to_owned(),
            "Peer authentication failed for user \"other\"".to_owned()
        )
    );
    assert_eq!(
        refused("far").await,
        (
            "28000".to_owned(),
            "pg_hba.conf rejects connection for host \"[local]\", user \"far\", database \"postgres\", no encryption"
                .to_owned()
        )
    );
    // A map says whom its names may come in as, and nobody else.
    let by_map = async |user: &str| {
        let text = format!(
            "host={} port={port} user={user} dbname=template1",
            sockets.path().display()
        );
        let (client, connection) = tokio_postgres::connect(&text, tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        let row = client.query_one("SELECT current_user::text", &[]).await?;
        Ok::<String, tokio_postgres::Error>(row.get(0))
    };
    assert_eq!(by_map("mapped").await.unwrap(), "mapped");
    let error = by_map(&own).await.err().unwrap();
    let message = format!("Peer authentication failed for user \"{own}\"");
    assert_eq!(told(&error), ("28000".to_owned(), message));
    let client = enter(sockets.path(), port, "postgres").await.unwrap();
    let sql =
        "SELECT line_number, map_name, sys_name, pg_username, error FROM pg_ident_file_mappings";
    let rows = client.query(sql, &[]).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].get::<_, String>(3), "mapped");
    assert_eq!(rows[1].get::<_, String>(4), "missing entry at end of line");
    // Rules of the file system are about nobody else, and the other way round.
    assert!(serving.connect_as("far").await.is_ok());
    let error = serving.connect_as("postgres").await.err().unwrap();
    assert!(
        told(&error)
            .1
            .starts_with("no pg_hba.conf entry for host \"127.0.0.1\"")
    );
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let dir = tempfile::tempdir().unwrap();
    let most = "chronolith.max_connections_per_address=2";
    let serving = Serving::start(dir.path(), &["-c", most]);
    let first = serving.connect().await;
    let second = serving.connect().await;
    let error = serving.try_connect().await.err().unwrap();
    assert_eq!(
        told(&error),
        (
            "53300".to_owned(),
            "too many connections from address \"127.0.0.1\"".to_owned()
        )
    );
    drop(second);
    let mut back = serving.try_connect().await;
    for _ in 0..100 {
        if back.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        back = serving.try_connect().await;
    }
    assert!(back.is_ok());
    drop(first);
}

/// A session by hand, in a protocol of one's own; its number and its key of cancelling.
async fn session(port: u16, minor: u8) -> (TcpStream, i32, Vec<u8>) {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut packet = vec![0, 3, 0, minor];
    packet.extend_from_slice(b"user\0postgres\0database\0postgres\0\0");
    let length = u32::try_from(packet.len() + 4).unwrap().to_be_bytes();
    socket
        .write_all(&[&length[..], &packet].concat())
        .await
        .unwrap();
    loop {
        let kind = socket.read_u8().await.unwrap();
        let length = socket.read_u32().await.unwrap();
        let mut body = vec![0; usize::try_from(length).unwrap() - 4];
        socket.read_exact(&mut body).await.unwrap();
        assert_ne!(kind, b'E', "{}", String::from_utf8_lossy(&body));
        if kind == b'K' {
            let (pid, key) = body.split_at(4);
            return (
                socket,
                i32::from_be_bytes(pid.try_into().unwrap()),
                key.to_vec(),
            );
        }
    }
}

/// Asks for a cancel; how long the server kept the connection.
#[expect(
    clippy::disallowed_methods,
    reason = "a wrong key is to take its time, however fast the machine is"
)]
async fn cancel(port: u16, pid: i32, key: &[u8]) -> Duration {
    let began = Instant::now();
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length = u32::try_from(12 + key.len()).unwrap();
    let mut packet = length.to_be_bytes().to_vec();
    packet.extend_from_slice(&[4, 210, 22, 46]);
    packet.extend_from_slice(&pid.to_be_bytes());
    packet.extend_from_slice(key);
    socket.write_all(&packet).await.unwrap();
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    began.elapsed()
}

#[tokio::test]
async fn keys_of_cancelling_are_long_where_they_may_be_and_guessing_takes_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let (_old, _, short) = session(serving.port, 0).await;
    let (mut new, pid, long) = session(serving.port, 2).await;
    assert_eq!((short.len(), long.len()), (4, 32));
    let sql = b"SELECT pg_sleep(60)\0";
    let length = u32::try_from(sql.len() + 4).unwrap().to_be_bytes();
    new.write_all(&[&b"Q"[..], &length, sql].concat())
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut wrong = long.clone();
    wrong[31] ^= 1;
    for key in [&wrong[..], &long[..4]] {
        assert!(cancel(serving.port, pid, key).await >= Duration::from_millis(150));
    }
    let log = serving.log_with("wrong key");
    assert!(
        log.contains(&format!("wrong key in cancel request for process {pid}")),
        "{log}"
    );
    let still = tokio::time::timeout(Duration::from_millis(200), async {
        // What came with the start is read; an answer would follow it.
        let mut seen = Vec::new();
        loop {
            seen.push(new.read_u8().await.unwrap());
            if seen.windows(6).any(|part| part == b"57014\0") {
                return;
            }
        }
    });
    assert!(still.await.is_err());
    cancel(serving.port, pid, &long).await;
    let ended = tokio::time::timeout(Duration::from_secs(10), async {
        let mut seen = Vec::new();
        while !seen.windows(6).any(|part| part == b"57014\0") {
            seen.push(new.read_u8().await.unwrap());
        }
    });
    assert!(ended.await.is_ok());
}
