//! tokio-postgres: values in binary, pipelining, COPY, portals, cancelling, notifications, types by their oids.

use std::pin::pin;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use futures::{SinkExt, StreamExt, TryStreamExt, future::try_join_all};
use rust_decimal::Decimal;
use tokio_postgres::binary_copy::{BinaryCopyInWriter, BinaryCopyOutStream};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{Kind, Type};
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage};

use crate::{check, variable};

async fn connect() -> Result<Client> {
    let place = format!(
        "host={} port={} user={} dbname={}",
        variable("PGHOST"),
        variable("PGPORT"),
        variable("PGUSER"),
        variable("PGDATABASE")
    );
    let (client, connection) = tokio_postgres::connect(&place, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn values() -> Result<()> {
    let client = connect().await?;
    let now = chrono::DateTime::from_timestamp_micros(1_700_000_000_123_456).context("time")?;
    let key = uuid::Uuid::new_v4();
    let number: Decimal = "-1234567.00890".parse()?;
    let doc = serde_json::json!({"a": [1, null]});
    let row = client
        .query_one(
            "SELECT $1::bool, $2::int2, $3::int4, $4::int8, $5::float4, $6::float8, $7::numeric, $8::text, $9::bytea,
                $10::timestamptz, $11::uuid, $12::jsonb, $13::text[], $14::date, NULL::int4",
            &[
                &true, &-3i16, &70_000i32, &(1i64 << 60), &1.5f32, &0.1f64, &number, &"é", &vec![0u8, 255],
                &now, &key, &doc, &vec![Some("a"), None], &now.date_naive(),
            ],
        )
        .await?;
    ensure!(row.get::<_, bool>(0) && row.get::<_, i16>(1) == -3 && row.get::<_, i32>(2) == 70_000);
    ensure!(row.get::<_, i64>(3) == 1 << 60 && row.get::<_, f32>(4) == 1.5 && row.get::<_, f64>(5) == 0.1);
    ensure!(row.get::<_, Decimal>(6).to_string() == "-1234567.00890" && row.get::<_, &str>(7) == "é");
    ensure!(row.get::<_, Vec<u8>>(8) == [0, 255] && row.get::<_, chrono::DateTime<chrono::Utc>>(9) == now);
    ensure!(row.get::<_, uuid::Uuid>(10) == key && row.get::<_, serde_json::Value>(11) == doc);
    ensure!(row.get::<_, Vec<Option<String>>>(12) == [Some("a".to_owned()), None]);
    ensure!(row.get::<_, chrono::NaiveDate>(13) == now.date_naive() && row.get::<_, Option<i32>>(14).is_none());
    Ok(())
}

async fn types() -> Result<()> {
    let client = connect().await?;
    client
        .batch_execute("CREATE TYPE r_side AS ENUM ('buy', 'sell'); CREATE DOMAIN r_price AS numeric(10, 2); CREATE TABLE r_typed (s r_side, m r_side[], p r_price)")
        .await?;
    let statement = client.prepare("SELECT s, m, p FROM r_typed WHERE s = $1").await?;
    let Kind::Enum(labels) = statement.params()[0].kind() else {
        anyhow::bail!("{:?} is no enum", statement.params());
    };
    ensure!(labels == &["buy", "sell"], "{labels:?}");
    ensure!(matches!(statement.columns()[1].type_().kind(), Kind::Array(item) if item.name() == "r_side"));
    client.batch_execute("DROP TABLE r_typed; DROP DOMAIN r_price; DROP TYPE r_side").await?;
    Ok(())
}

async fn pipelined() -> Result<()> {
    let client = connect().await?;
    let statement = client.prepare("SELECT $1::int4 + 1").await?;
    let answers = try_join_all((0..200i32).map(|i| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[&i]).await.map(|row| row.get::<_, i32>(0)) }
    }))
    .await?;
    ensure!(answers == (1..=200).collect::<Vec<_>>());
    Ok(())
}

async fn copies() -> Result<()> {
    let client = connect().await?;
    client.batch_execute("CREATE TABLE r_copy (t timestamptz NOT NULL, s text, v float8)").await?;
    client.query("SELECT create_hypertable('r_copy', 't')", &[]).await?;
    let kinds = [Type::TIMESTAMPTZ, Type::TEXT, Type::FLOAT8];
    let sink = client.copy_in("COPY r_copy FROM STDIN BINARY").await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &kinds));
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for i in 0..3000u32 {
        writer.as_mut().write(&[&(start + Duration::from_secs(60 * u64::from(i))), &Some("s"), &f64::from(i)]).await?;
    }
    ensure!(writer.finish().await? == 3000);
    let rows: Vec<_> = BinaryCopyOutStream::new(client.copy_out("COPY (SELECT t, s, v FROM r_copy ORDER BY t) TO STDOUT BINARY").await?, &kinds)
        .try_collect()
        .await?;
    ensure!(rows.len() == 3000 && rows[7].get::<f64>(2) == 7.0 && rows[0].get::<SystemTime>(0) == start);
    let mut broken = Box::pin(client.copy_in::<_, tokio_postgres::types::private::BytesMut>("COPY r_copy FROM STDIN").await?);
    broken.send("2024-01-01\tx\t1\n".as_bytes().into()).await?;
    drop(broken);
    let count: i64 = client.query_one("SELECT count(*) FROM r_copy", &[]).await?.get(0);
    ensure!(count == 3000, "{count}");
    client.batch_execute("DROP TABLE r_copy").await?;
    Ok(())
}

async fn portals() -> Result<()> {
    let mut client = connect().await?;
    let transaction = client.transaction().await?;
    let portal = transaction.bind("SELECT generate_series(1, 10)", &[]).await?;
    ensure!(transaction.query_portal(&portal, 4).await?.len() == 4);
    ensure!(transaction.query_portal(&portal, 100).await?.len() == 6);
    let rows = transaction.query_raw("SELECT generate_series(1, 1000)", Vec::<i32>::new()).await?;
    ensure!(rows.count().await == 1000);
    transaction.commit().await?;
    Ok(())
}

async fn transactions() -> Result<()> {
    let mut client = connect().await?;
    client.batch_execute("CREATE TABLE r_tx (a int PRIMARY KEY)").await?;
    let mut outer = client.transaction().await?;
    outer.execute("INSERT INTO r_tx VALUES (1)", &[]).await?;
    let inner = outer.savepoint("inside").await?;
    let error = inner.execute("INSERT INTO r_tx VALUES (1)", &[]).await.err().context("no error")?;
    let known = error.as_db_error().context("no error of the database")?;
    ensure!(known.code() == &SqlState::UNIQUE_VIOLATION && known.constraint() == Some("r_tx_pkey"));
    inner.rollback().await?;
    outer.execute("INSERT INTO r_tx VALUES (2)", &[]).await?;
    outer.commit().await?;
    let dropped = client.transaction().await?;
    dropped.execute("INSERT INTO r_tx VALUES (3)", &[]).await?;
    drop(dropped);
    let count: i64 = client.query_one("SELECT count(*) FROM r_tx", &[]).await?.get(0);
    ensure!(count == 2, "{count}");
    let messages = client.simple_query("SELECT a FROM r_tx ORDER BY a; DROP TABLE r_tx").await?;
    ensure!(matches!(messages.last(), Some(SimpleQueryMessage::CommandComplete(_))));
    Ok(())
}

async fn cancelled() -> Result<()> {
    let client = connect().await?;
    let token = client.cancel_token();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(NoTls).await
    });
    let error = client.query("SELECT pg_sleep(30)", &[]).await.err().context("no error")?;
    ensure!(error.code() == Some(&SqlState::QUERY_CANCELED), "{error}");
    client.query_one("SELECT 1", &[]).await?;
    Ok(())
}

async fn notified() -> Result<()> {
    let place = format!("host={} port={} user={} dbname={}", variable("PGHOST"), variable("PGPORT"), variable("PGUSER"), variable("PGDATABASE"));
    let (client, mut connection) = tokio_postgres::connect(&place, NoTls).await?;
    let (send, mut got) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(message)) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            let text = match message {
                AsyncMessage::Notification(note) => format!("{} {}", note.channel(), note.payload()),
                AsyncMessage::Notice(notice) => notice.message().to_owned(),
                _ => continue,
            };
            if send.send(text).is_err() {
                return;
            }
        }
    });
    client.batch_execute("LISTEN r_news; DO $$ BEGIN RAISE NOTICE 'well'; END $$; NOTIFY r_news, 'x'").await?;
    ensure!(got.recv().await.as_deref() == Some("well"));
    ensure!(got.recv().await.as_deref() == Some("r_news x"));
    Ok(())
}

pub(crate) async fn run(failed: &mut bool) {
    check(failed, "tokio-postgres: values in binary", values()).await;
    check(failed, "tokio-postgres: types of users", types()).await;
    check(failed, "tokio-postgres: queries side by side on a connection", pipelined()).await;
    check(failed, "tokio-postgres: binary COPY", copies()).await;
    check(failed, "tokio-postgres: portals", portals()).await;
    check(failed, "tokio-postgres: transactions and savepoints", transactions()).await;
    check(failed, "tokio-postgres: a query is cancelled", cancelled()).await;
    check(failed, "tokio-postgres: notices and notifications", notified()).await;
}
