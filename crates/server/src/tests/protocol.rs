//! What a real driver sees.

use bytes::Bytes;
use futures::{SinkExt, TryStreamExt};
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::fake::{Fake, serve};
use crate::ServerConfig;

/// The verifier of "pencil" as PostgreSQL would store it.
pub(super) fn pencil() -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use ring::{digest, hmac, pbkdf2};
    let salt = [7_u8; 16];
    let mut salted = [0; 32];
    let rounds = std::num::NonZeroU32::new(4096).unwrap();
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        rounds,
        &salt,
        b"pencil",
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    format!(
        "SCRAM-SHA-256$4096:{}${}:{}",
        STANDARD.encode(salt),
        STANDARD.encode(stored.as_ref()),
        STANDARD.encode(server.as_ref())
    )
}

pub(super) async fn connect(
    port: u16,
    user: &str,
    database: &str,
    password: &str,
) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = Config::new()
        .host("127.0.0.1")
        .port(port)
        .user(user)
        .dbname(database)
        .password(password)
        .connect(NoTls)
        .await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn client() -> Client {
    let address = serve(Fake::default(), ServerConfig::default()).await;
    connect(address.port(), "postgres", "postgres", "")
        .await
        .unwrap()
}

pub(super) fn code(error: &tokio_postgres::Error) -> (&str, &str) {
    let error = error.as_db_error().unwrap();
    (error.code().code(), error.message())
}

#[tokio::test]
async fn simple_queries_run_in_order_and_an_error_ends_the_message() {
    let client = client().await;
    let messages = client.simple_query("ticks; begin; commit").await.unwrap();
    let first: Vec<_> = messages
        .iter()
        .filter_map(|m| match m {
            SimpleQueryMessage::Row(row) => Some((row.get(0), row.get(1))),
            _ => None,
        })
        .collect();
    assert_eq!(
        first,
        [
            (Some("1970-01-01 00:00:00+00"), Some("a")),
            (None, Some("b"))
        ]
    );
    let error = client.simple_query("begin; nonsense; commit").await;
    assert_eq!(
        code(&error.unwrap_err()),
        ("42601", "syntax error at or near \"nonsense\"")
    );
    assert!(client.simple_query("").await.is_ok());
}

#[tokio::test]
async fn prepared_statements_take_binary_parameters_and_row_limits_suspend() {
    let mut client = client().await;
    let echo = client.prepare("echo").await.unwrap();
    let row = client.query_one(&echo, &[&42_i64]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 42);

    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("many", &[]).await.unwrap();
    for wanted in [400, 400, 200, 0] {
        let rows = transaction.query_portal(&portal, 400).await.unwrap();
        assert_eq!(rows.len(), wanted);
    }
    transaction.commit().await.unwrap();
    let rows = client.query("many", &[]).await.unwrap();
    assert_eq!(rows.len(), 1000);
    let error = client.query("nonsense", &[]).await.unwrap_err();
    assert_eq!(code(&error).0, "42601");
    assert_eq!(client.query("many", &[]).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn copy_runs_both_ways_and_its_failure_leaves_the_connection_usable() {
    let client = client().await;
    let sink = client.copy_in("copy in").await.unwrap();
    let mut sink = Box::pin(sink);
    sink.send(Bytes::from("1\n2\n")).await.unwrap();
    assert_eq!(sink.as_mut().finish().await.unwrap(), 2);

    let mut sink = Box::pin(client.copy_in("copy in").await.unwrap());
    sink.send(Bytes::from("bad\n")).await.unwrap();
    let error = sink.as_mut().finish().await.unwrap_err();
    assert_eq!(code(&error), ("22P04", "bad row"));

    let out: Vec<Bytes> = client
        .copy_out("copy out")
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(out.concat(), b"1\n2\n");
}

#[tokio::test]
async fn a_cancel_stops_a_statement_that_waits_and_one_that_streams() {
    let client = client().await;
    for sql in ["sleep", "forever"] {
        let token = client.cancel_token();
        let cancel = async {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            token.cancel_query(NoTls).await.unwrap();
        };
        let (result, ()) = tokio::join!(client.batch_execute(sql), cancel);
        assert_eq!(code(&result.unwrap_err()).0, "57014", "{sql}");
    }
    assert!(client.simple_query("ticks").await.is_ok());
}

#[tokio::test]
async fn a_statement_that_panics_fails_and_leaves_the_session() {
    let client = client().await;
    for _ in 0..2 {
        let error = client.batch_execute("begin; panic").await.unwrap_err();
        assert_eq!(code(&error).0, "XX000");
    }
    let error = client.query("panic", &[]).await.unwrap_err();
    assert_eq!(code(&error).0, "XX000");
    assert_eq!(client.query("many", &[]).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_portal_ends_with_its_transaction() {
    let mut client = client().await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("many", &[]).await.unwrap();
    let first = transaction.query_portal(&portal, 10).await.unwrap();
    assert_eq!(first.len(), 10);
    transaction.batch_execute("commit").await.unwrap();
    let error = transaction.query_portal(&portal, 10).await.unwrap_err();
    assert_eq!(code(&error).0, "34000");
}

#[tokio::test]
async fn a_cancel_with_a_wrong_secret_stops_nothing() {
    use tokio::io::AsyncWriteExt;
    let address = serve(Fake::default(), ServerConfig::default()).await;
    let client = connect(address.port(), "postgres", "postgres", "")
        .await
        .unwrap();
    for pid in 0..200_u32 {
        let mut packet = vec![0, 0, 0, 16, 4, 210, 22, 46];
        packet.extend_from_slice(&pid.to_be_bytes());
        packet.extend_from_slice(&[1, 2, 3, 4]);
        let mut socket = tokio::net::TcpStream::connect(address).await.unwrap();
        socket.write_all(&packet).await.unwrap();
    }
    assert_eq!(client.query("many", &[]).await.unwrap().len(), 1000);
    let wait = std::time::Duration::from_millis(200);
    let sleep = client.batch_execute("sleep");
    assert!(tokio::time::timeout(wait, sleep).await.is_err());
}

#[tokio::test]
async fn a_password_is_proved_and_unknown_roles_look_like_wrong_passwords() {
    let fake = Fake {
        verifier: Some(pencil()),
        ..Fake::default()
    };
    let port = serve(fake, ServerConfig::default()).await.port();
    assert!(
        connect(port, "postgres", "postgres", "pencil")
            .await
            .is_ok()
    );
    for (user, password) in [("postgres", "wrong"), ("nobody", "pencil")] {
        let error = connect(port, user, "postgres", password)
            .await
            .err()
            .unwrap();
        let expected = format!("password authentication failed for user \"{user}\"");
        assert_eq!(code(&error), ("28P01", expected.as_str()));
    }
}

#[tokio::test]
async fn unknown_databases_and_too_many_clients_are_named() {
    let config = ServerConfig {
        connections_max: 1,
        ..ServerConfig::default()
    };
    let port = serve(Fake::default(), config).await.port();
    let error = connect(port, "postgres", "nosuch", "").await.err().unwrap();
    assert_eq!(
        code(&error),
        ("3D000", "database \"nosuch\" does not exist")
    );
    let error = connect(port, "nosuch", "postgres", "").await.err().unwrap();
    assert_eq!(code(&error), ("28000", "role \"nosuch\" does not exist"));
    let _first = connect(port, "postgres", "postgres", "").await.unwrap();
    let error = connect(port, "postgres", "postgres", "")
        .await
        .err()
        .unwrap();
    assert_eq!(code(&error).0, "53300");
}
