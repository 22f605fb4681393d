//! What a server makes of clients that are wrong, rude or gone: an error with a code, and the next
//! client is served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, pin_mut};
use tokio_postgres::Client;

use crate::program::Serving;

struct Bench {
    serving: Serving,
    client: Client,
    _dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    Bench {
        client,
        serving,
        _dir: dir,
    }
}

impl Bench {
    /// Code and message of the error that a statement gives.
    async fn refused(&self, sql: &str) -> (String, String) {
        let error = self.client.batch_execute(sql).await.unwrap_err();
        let error = error
            .as_db_error()
            .unwrap_or_else(|| panic!("{sql}: {error}"));
        (error.code().code().to_owned(), error.message().to_owned())
    }

    async fn lives(&self) {
        let client = self.serving.connect().await;
        let row = client.query_one("SELECT 1", &[]).await.unwrap();
        assert_eq!(row.get::<_, i32>(0), 1);
    }

    /// A connection by hand, past its startup.
    fn socket(&self) -> TcpStream {
        let mut socket = TcpStream::connect(("127.0.0.1", self.serving.port)).unwrap();
        let limit = Some(Duration::from_secs(10));
        socket.set_read_timeout(limit).unwrap();
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        body.extend(b"user\0postgres\0database\0postgres\0\0");
        let length = u32::try_from(body.len() + 4).unwrap();
        socket.write_all(&length.to_be_bytes()).unwrap();
        socket.write_all(&body).unwrap();
        until_ready(&mut socket);
        socket
    }
}

/// What comes until the server is ready, or has hung up.
fn until_ready(socket: &mut TcpStream) -> Vec<u8> {
    let mut seen = Vec::new();
    let mut block = [0; 4096];
    loop {
        match socket.read(&mut block) {
            Ok(0) | Err(_) => return seen,
            Ok(count) => seen.extend(&block[..count]),
        }
        if seen.len() >= 6 && seen[seen.len() - 6..].starts_with(b"Z\0\0\0\x05") {
            return seen;
        }
    }
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
    message.extend(body);
    message
}

fn names(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|window| window == text.as_bytes())
}

#[tokio::test]
async fn refused_statements_have_postgresqls_codes_and_words() {
    let bench = bench().await;
    bench
        .client
        .batch_execute(
            "CREATE TABLE t (id int PRIMARY KEY, name varchar(3), price numeric(6,2), ts timestamptz);
             INSERT INTO t VALUES (1, 'a', 1, now())",
        )
        .await
        .unwrap();
    for (sql, code, message) in [
        ("SELEC 1", "42601", "syntax error at or near \"SELEC\""),
        ("SELECT 1 FROM;", "42601", "syntax error at or near \";\""),
        (
            "SELECT 'x",
            "42601",
            "unterminated quoted string at or near \"'x\"",
        ),
        (
            "SELECT * FROM nowhere",
            "42P01",
            "relation \"nowhere\" does not exist",
        ),
        (
            "SELECT * FROM no.t",
            "42P01",
            "relation \"no.t\" does not exist",
        ),
        (
            "SELECT nope FROM t",
            "42703",
            "column \"nope\" does not exist",
        ),
        (
            "SELECT nope(1)",
            "42883",
            "function nope(integer) does not exist",
        ),
        (
            "SELECT 1 + true",
            "42883",
            "operator does not exist: integer + boolean",
        ),
        ("SELECT 1/0", "22012", "division by zero"),
        ("SELECT 2147483647 + 1", "22003", "integer out of range"),
        (
            "SELECT (SELECT x FROM generate_series(1, 2) x)",
            "21000",
            "more than one row returned by a subquery used as an expression",
        ),
        (
            "INSERT INTO t VALUES (1)",
            "23505",
            "duplicate key value violates unique constraint \"t_pkey\"",
        ),
        (
            "INSERT INTO t VALUES (NULL)",
            "23502",
            "null value in column \"id\" of relation \"t\" violates not-null constraint",
        ),
        (
            "INSERT INTO t VALUES (2, 'long')",
            "22001",
            "value too long for type character varying(3)",
        ),
        (
            "INSERT INTO t VALUES (2, 'a', 12345)",
            "22003",
            "numeric field overflow",
        ),
        (
            "INSERT INTO t VALUES ('x')",
            "22P02",
            "invalid input syntax for type integer: \"x\"",
        ),
        (
            "INSERT INTO t (id, ts) VALUES (2, '2026-02-30')",
            "22008",
            "date/time field value out of range: \"2026-02-30\"",
        ),
        (
            "INSERT INTO t (id, ts) VALUES (2, 'soon')",
            "22007",
            "invalid input syntax for type timestamp with time zone: \"soon\"",
        ),
        (
            "SET nope = 1",
            "42704",
            "unrecognized configuration parameter \"nope\"",
        ),
        (
            "CREATE TABLE t (a int)",
            "42P07",
            "relation \"t\" already exists",
        ),
        (
            "DROP TABLE nowhere",
            "42P01",
            "table \"nowhere\" does not exist",
        ),
    ] {
        let (found, words) = bench.refused(sql).await;
        assert_eq!((found.as_str(), words.as_str()), (code, message), "{sql}");
    }
    let row = bench
        .client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
}

#[tokio::test]
async fn a_bad_line_of_copy_is_named_and_nothing_of_it_is_kept() {
    let bench = bench().await;
    bench
        .client
        .batch_execute(
            "CREATE TABLE c (id int PRIMARY KEY, b text NOT NULL, n numeric(6,2), v varchar(3))",
        )
        .await
        .unwrap();
    for (options, data, code, place) in [
        (
            "",
            &b"1\ta\t1\tx\n2\tb\n"[..],
            "22P04",
            "COPY c, line 2: \"2\tb\"",
        ),
        (
            "",
            b"1\ta\t1\tx\ty\n",
            "22P04",
            "COPY c, line 1: \"1\ta\t1\tx\ty\"",
        ),
        (
            "",
            b"1\ta\t1\tx\n2\tb\tten\tx\n",
            "22P02",
            "COPY c, line 2, column n: \"ten\"",
        ),
        (
            "",
            b"1\ta\t99999\tx\n",
            "22003",
            "COPY c, line 1, column n: \"99999\"",
        ),
        (
            "",
            b"1\ta\t1\tlong\n",
            "22001",
            "COPY c, line 1, column v: \"long\"",
        ),
        ("", b"1\t\\N\t1\tx\n", "23502", "COPY c, line 1"),
        ("", b"1\ta\t1\tx\n1\tb\t1\tx\n", "23505", "COPY c, line 2"),
        ("", b"1\ta\xff\t1\tx\n", "22021", "COPY c, line 1"),
        (
            "CSV",
            b"1,\"a,1,x\n",
            "22P04",
            "COPY c, line 1: \"1,\"a,1,x\"",
        ),
        (
            "(FORMAT csv, HEADER match)",
            b"id,b\n",
            "22P04",
            "COPY c, line 1: \"id,b\"",
        ),
        ("BINARY", b"not the signature", "22P04", ""),
    ] {
        let sink = bench
            .client
            .copy_in::<_, Bytes>(&format!("COPY c FROM STDIN {options}"))
            .await
            .unwrap();
        pin_mut!(sink);
        sink.send(Bytes::copy_from_slice(data)).await.unwrap();
        let error = sink.finish().await.unwrap_err();
        let error = error.as_db_error().unwrap();
        assert_eq!(error.code().code(), code, "{data:?}: {error}");
        let context = error.where_().unwrap_or_default();
        assert_eq!(context, place, "{data:?}");
        let row = bench
            .client
            .query_one("SELECT count(*) FROM c", &[])
            .await
            .unwrap();
        assert_eq!(row.get::<_, i64>(0), 0, "{data:?} left rows");
    }
}

#[tokio::test]
async fn garbage_and_absurd_lengths_end_only_their_own_connection() {
    let bench = bench().await;
    // Before a startup packet: noise of many lengths, from a fixed seed.
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for length in [1, 3, 7, 8, 100, 5000] {
        let bytes: Vec<u8> = (0..length)
            .map(|_| {
                noise ^= noise << 13;
                noise ^= noise >> 7;
                noise ^= noise << 17;
                noise.to_le_bytes()[0]
            })
            .collect();
        let mut socket = TcpStream::connect(("127.0.0.1", bench.serving.port)).unwrap();
        let _ = socket.write_all(&bytes);
        drop(socket);
        let mut socket = bench.socket();
        let _ = socket.write_all(&bytes);
    }
    for length in [0_u32, 1, 3, 0x7fff_ffff, 0xffff_ffff] {
        let mut socket = bench.socket();
        socket.write_all(b"Q").unwrap();
        socket.write_all(&length.to_be_bytes()).unwrap();
        let answer = until_ready(&mut socket);
        assert!(names(&answer, "C08P01"), "length {length}: {answer:?}");
    }
    for tag in *b"zDBCE!" {
        let mut socket = bench.socket();
        socket.write_all(&message(tag, b"\0\0\0\0")).unwrap();
        let answer = until_ready(&mut socket);
        assert!(names(&answer, "C08P01"), "message {tag}: {answer:?}");
    }
    bench.lives().await;
}

#[tokio::test]
async fn statements_of_any_depth_and_width_get_an_answer() {
    let bench = bench().await;
    let sums = |count: usize| format!("SELECT {}", vec!["1"; count].join(" + "));
    let nested = |open: &str, count: usize, close: &str| {
        format!("SELECT {}1{}", open.repeat(count), close.repeat(count))
    };
    for sql in [
        sums(50),
        format!("SELECT 1 WHERE {}", vec!["1 = 2"; 1500].join(" OR ")),
        format!(
            "SELECT 1 WHERE 1 IN ({})",
            (0..5000)
                .map(|n| n.to_string())
                .collect::<Vec<_>>()
                .join(",")
        ),
        nested("(", 100, ")"),
        format!("SELECT 1{}", "::int".repeat(300)),
    ] {
        let shown = &sql[..40];
        bench
            .client
            .simple_query(&sql)
            .await
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
    }
    for (sql, code) in [
        (sums(5000), "54001"),
        (nested("(", 3000, ")"), "54001"),
        (nested("abs(", 3000, ")"), "54001"),
        (format!("SELECT {}true", "NOT ".repeat(3000)), "54001"),
        (format!("SELECT {}", vec!["1"; 1665].join(", ")), "54011"),
    ] {
        assert_eq!(bench.refused(&sql).await.0, code, "{}", &sql[..40]);
    }
    bench.lives().await;
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_copy_leaves_nothing() {
    let bench = bench().await;
    bench
        .client
        .batch_execute("CREATE TABLE c (id int PRIMARY KEY)")
        .await
        .unwrap();
    let mut socket = bench.socket();
    socket
        .write_all(&message(b'Q', b"COPY c FROM STDIN\0"))
        .unwrap();
    let mut answer = [0; 5];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(answer[0], b'G');
    for block in 0..100 {
        let lines: String = (0..100)
            .map(|line| format!("{}\n", block * 100 + line))
            .collect();
        socket.write_all(&message(b'd', lines.as_bytes())).unwrap();
    }
    drop(socket);
    // Its lock on the keys is gone with it.
    let count = bench
        .client
        .execute("INSERT INTO c SELECT generate_series(0, 9999)", &[])
        .await;
    assert_eq!(count.unwrap(), 10_000);
}

#[tokio::test]
async fn connections_past_the_limit_are_refused_and_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["-c", "max_connections=8"]);
    let mut clients = Vec::new();
    let mut refused = None;
    for _ in 0..12 {
        match serving.try_connect().await {
            Ok(client) => clients.push(client),
            Err(error) => refused = Some(error),
        }
    }
    let code = refused.as_ref().and_then(|error| error.code());
    assert_eq!(
        code.map(|code| code.code()),
        Some("53300"),
        "{} connected",
        clients.len()
    );
    for client in &clients {
        client.query_one("SELECT 1", &[]).await.unwrap();
    }
}

#[tokio::test]
async fn however_many_wait_for_a_row_others_go_on() {
    // More than a runtime has threads for what blocks, unless it is told otherwise.
    const WAITERS: usize = 560;
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["-c", "max_connections=600"]);
    let (holder, other) = (serving.connect().await, serving.connect().await);
    for text in [
        "CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 0), (2, 0)",
        "BEGIN; UPDATE t SET n = n + 1 WHERE id = 1",
    ] {
        holder.batch_execute(text).await.unwrap();
    }
    let mut waiting = Vec::new();
    for _ in 0..WAITERS {
        let client = serving.connect().await;
        waiting.push(tokio::spawn(async move {
            let update = "UPDATE t SET n = n + 1 WHERE id = 1";
            client.batch_execute(update).await
        }));
    }
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted";
    let others = async {
        while other.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) < WAITERS as i64 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let update = "UPDATE t SET n = n + 1 WHERE id = 2";
        assert_eq!(other.execute(update, &[]).await.unwrap(), 1);
        holder.batch_execute("COMMIT").await.unwrap();
        for waiter in waiting {
            waiter.await.unwrap().unwrap();
        }
    };
    let soon = std::time::Duration::from_secs(120);
    tokio::time::timeout(soon, others)
        .await
        .expect("some wait for those who wait for them");
    let sum = other.query_one("SELECT n FROM t WHERE id = 1", &[]).await;
    assert_eq!(sum.unwrap().get::<_, i32>(0), 561);
}

#[tokio::test]
async fn sigterm_during_a_load_keeps_what_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    client
        .batch_execute("CREATE TABLE a (id int); INSERT INTO a VALUES (1); CREATE TABLE b (id int)")
        .await
        .unwrap();
    let sink = client
        .copy_in::<_, Bytes>("COPY b FROM STDIN")
        .await
        .unwrap();
    pin_mut!(sink);
    sink.send(Bytes::from("1\n2\n".repeat(10_000)))
        .await
        .unwrap();
    assert_eq!(serving.terminate(), Some(0));
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    let row = client
        .query_one(
            "SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b)",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (1, 0));
}
