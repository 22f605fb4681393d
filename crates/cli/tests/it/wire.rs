//! A Postgres client that is not ours, on a real socket.

use bytes::Bytes;
use futures::{SinkExt, StreamExt, pin_mut};
use std::time::{Duration, UNIX_EPOCH};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::program::Serving;

struct Bench {
    client: Client,
    _serving: Serving,
    _dir: tempfile::TempDir,
}

async fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    Bench {
        client,
        _serving: serving,
        _dir: dir,
    }
}

fn code(error: &tokio_postgres::Error) -> &str {
    error.code().map_or("none", |code| code.code())
}

#[tokio::test]
async fn simple_queries_answer_in_text() {
    let bench = bench().await;
    let messages = bench
        .client
        .simple_query("SELECT 1 AS a, NULL AS b; SELECT 'x' AS c WHERE false")
        .await
        .unwrap();
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect();
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].get("a"), rows[0].get("b")), (Some("1"), None));
}

#[tokio::test]
async fn every_common_type_travels_in_binary_both_ways() {
    let bench = bench().await;
    let moment = UNIX_EPOCH + Duration::from_micros(1_767_346_200_123_456);
    let row = bench
        .client
        .query_one(
            "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::text, $8::bytea, $9::timestamptz, $10::int4[]",
            &[
                &true,
                &-2_i16,
                &3_i32,
                &-4_i64,
                &0.5_f32,
                &-0.25_f64,
                &"grüß",
                &b"\x00\xff".as_slice(),
                &moment,
                &vec![Some(1), None, Some(3)],
            ],
        )
        .await
        .unwrap();
    assert!(row.get::<_, bool>(0));
    assert_eq!(row.get::<_, i16>(1), -2);
    assert_eq!(row.get::<_, i32>(2), 3);
    assert_eq!(row.get::<_, i64>(3), -4);
    assert_eq!(row.get::<_, f32>(4).to_bits(), 0.5_f32.to_bits());
    assert_eq!(row.get::<_, f64>(5).to_bits(), (-0.25_f64).to_bits());
    assert_eq!(row.get::<_, &str>(6), "grüß");
    assert_eq!(row.get::<_, &[u8]>(7), b"\x00\xff");
    assert_eq!(row.get::<_, std::time::SystemTime>(8), moment);
    assert_eq!(row.get::<_, Vec<Option<i32>>>(9), [Some(1), None, Some(3)]);
}

#[tokio::test]
async fn copy_goes_in_and_comes_out_again() {
    let bench = bench().await;
    let client = &bench.client;
    client
        .batch_execute("CREATE TABLE t (id int PRIMARY KEY, note text, px numeric(10,2))")
        .await
        .unwrap();
    let lines = "1,one,1.50\n2,\"two, too\",\n3,\"\",-0.005\n";
    let sink = client
        .copy_in("COPY t FROM STDIN WITH (FORMAT csv)")
        .await
        .unwrap();
    pin_mut!(sink);
    // Split where it hurts: within a line and within quotes.
    for piece in [&lines[..15], &lines[15..]] {
        sink.send(Bytes::copy_from_slice(piece.as_bytes()))
            .await
            .unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 3);
    for (options, expected) in [
        (
            "(FORMAT csv)",
            "1,one,1.50\n2,\"two, too\",\n3,\"\",-0.01\n",
        ),
        (
            "(FORMAT text)",
            "1\tone\t1.50\n2\ttwo, too\t\\N\n3\t\t-0.01\n",
        ),
    ] {
        let stream = client
            .copy_out(&format!(
                "COPY (SELECT * FROM t ORDER BY id) TO STDOUT WITH {options}"
            ))
            .await
            .unwrap();
        let pieces: Vec<_> = stream.map(Result::unwrap).collect().await;
        assert_eq!(String::from_utf8(pieces.concat()).unwrap(), expected);
    }
}

#[tokio::test]
async fn a_bad_copy_line_is_named_and_nothing_is_kept() {
    let bench = bench().await;
    let client = &bench.client;
    client
        .batch_execute("CREATE TABLE t (id int, px numeric(10,2))")
        .await
        .unwrap();
    let sink = client
        .copy_in("COPY t FROM STDIN WITH (FORMAT csv)")
        .await
        .unwrap();
    pin_mut!(sink);
    sink.send(Bytes::from_static(b"1,1.5\n2,oops\n3,3\n"))
        .await
        .unwrap();
    let error = sink.finish().await.unwrap_err();
    assert_eq!(code(&error), "22P02");
    let place = error.as_db_error().unwrap().where_().unwrap_or_default();
    assert!(place.contains("line 2, column px"), "{place}");
    let count: i64 = client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(count, 0);
}

#[tokio::test]
async fn errors_carry_code_and_place_and_leave_the_connection_whole() {
    let bench = bench().await;
    let client = &bench.client;
    for (sql, expected) in [
        ("SELEC 1", "42601"),
        ("SELECT nothing", "42703"),
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT 1/0", "22012"),
        ("SELECT 'x'::int", "22P02"),
        ("SELECT no_function()", "42883"),
        ("CREATE EXTENSION postgis", "0A000"),
    ] {
        let error = client.simple_query(sql).await.unwrap_err();
        assert_eq!(code(&error), expected, "{sql}: {error}");
    }
    let error = client.simple_query("SELECT 1, nothing").await.unwrap_err();
    let position = error.as_db_error().unwrap().position();
    assert_eq!(
        position,
        Some(&tokio_postgres::error::ErrorPosition::Original(11))
    );
    let one: i32 = client.query_one("SELECT 1", &[]).await.unwrap().get(0);
    assert_eq!(one, 1);
}

#[tokio::test]
async fn columns_of_a_view_are_told_as_the_views() {
    let bench = bench().await;
    let client = &bench.client;
    client
        .batch_execute(
            "CREATE TABLE t (a int, b text); CREATE VIEW v AS SELECT b, a + 1 AS n FROM t",
        )
        .await
        .unwrap();
    let oid: u32 = client
        .query_one("SELECT 'v'::regclass::oid", &[])
        .await
        .unwrap()
        .get(0);
    for sql in [
        "SELECT n, b FROM v",
        "SELECT x.n, x.b FROM (SELECT * FROM v) x",
    ] {
        let statement = client.prepare(sql).await.unwrap();
        let told: Vec<_> = statement
            .columns()
            .iter()
            .map(|column| (column.table_oid(), column.column_id()))
            .collect();
        assert_eq!(told, [(Some(oid), Some(2)), (Some(oid), Some(1))], "{sql}");
    }
    // A row of a view has none of a table's system columns.
    let error = client.simple_query("SELECT tableoid FROM v").await;
    assert_eq!(code(&error.unwrap_err()), "42703");
}

#[tokio::test]
async fn a_failed_transaction_refuses_until_it_ends() {
    let bench = bench().await;
    let client = &bench.client;
    client
        .batch_execute("CREATE TABLE t (a int PRIMARY KEY)")
        .await
        .unwrap();
    client
        .batch_execute("BEGIN; INSERT INTO t VALUES (1)")
        .await
        .unwrap();
    let error = client
        .batch_execute("INSERT INTO t VALUES (1)")
        .await
        .unwrap_err();
    assert_eq!(code(&error), "23505");
    let detail = error
        .as_db_error()
        .unwrap()
        .detail()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(detail, "Key (a)=(1) already exists.");
    let error = client.simple_query("SELECT 1").await.unwrap_err();
    assert_eq!(code(&error), "25P02");
    client.batch_execute("ROLLBACK").await.unwrap();
    let count: i64 = client
        .query_one("SELECT count(*) FROM t", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(count, 0);
}

#[tokio::test]
async fn a_running_query_can_be_cancelled() {
    let bench = bench().await;
    let token = bench.client.cancel_token();
    let canceller = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(tokio_postgres::NoTls).await.unwrap();
    });
    let error = bench
        .client
        .simple_query(
            "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
        )
        .await
        .unwrap_err();
    assert_eq!(code(&error), "57014");
    canceller.await.unwrap();
    assert!(bench.client.simple_query("SELECT 1").await.is_ok());
}

#[tokio::test]
async fn portals_give_rows_in_portions() {
    let mut bench = bench().await;
    let transaction = bench.client.transaction().await.unwrap();
    let portal = transaction
        .bind("SELECT i FROM generate_series(1, 25) i", &[])
        .await
        .unwrap();
    let mut counts = Vec::new();
    loop {
        let rows = transaction.query_portal(&portal, 10).await.unwrap();
        counts.push(rows.len());
        if rows.len() < 10 {
            break;
        }
    }
    assert_eq!(counts, [10, 10, 5]);
}

#[tokio::test]
async fn an_unknown_database_is_3d000() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let result = tokio_postgres::connect(
        &format!(
            "host=127.0.0.1 port={} user=postgres dbname=nowhere",
            serving.port
        ),
        tokio_postgres::NoTls,
    )
    .await;
    let Err(error) = result else {
        panic!("connected to a database that does not exist");
    };
    assert_eq!(code(&error), "3D000");
}
