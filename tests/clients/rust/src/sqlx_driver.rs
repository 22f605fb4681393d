//! sqlx: a pool, rows as structures, enums, arrays, COPY, migrations with their advisory lock, listeners, nullability.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, Utc};
use futures::{TryStreamExt, future::try_join_all};
use rust_decimal::Decimal;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolCopyExt, PgPoolOptions};
use sqlx::{Column, Connection, Executor, FromRow, QueryBuilder, Row, TypeInfo};

use crate::{check, variable};

async fn pool() -> Result<PgPool> {
    let options = PgConnectOptions::new()
        .host(&variable("PGHOST"))
        .port(variable("PGPORT").parse()?)
        .username(&variable("PGUSER"))
        .database(&variable("PGDATABASE"));
    Ok(PgPoolOptions::new().max_connections(5).acquire_timeout(Duration::from_secs(20)).connect_with(options).await?)
}

#[derive(sqlx::Type, Debug, PartialEq, Clone, Copy)]
#[sqlx(type_name = "x_side", rename_all = "lowercase")]
enum Side {
    Buy,
    Sell,
}

#[derive(FromRow, Debug, PartialEq)]
struct Order {
    id: i64,
    side: Side,
    price: Decimal,
    tags: Vec<String>,
    made: DateTime<Utc>,
    doc: sqlx::types::Json<Vec<i32>>,
    note: Option<String>,
}

async fn structures() -> Result<()> {
    let pool = pool().await?;
    pool.execute(
        "CREATE TYPE x_side AS ENUM ('buy', 'sell');
        CREATE TABLE x_orders (id bigserial PRIMARY KEY, side x_side NOT NULL, price numeric(20, 8) NOT NULL, tags text[] NOT NULL, made timestamptz NOT NULL, doc jsonb NOT NULL, note text)",
    )
    .await?;
    let made = DateTime::from_timestamp_micros(1_700_000_000_123_456).context("time")?;
    for i in 0..10 {
        sqlx::query("INSERT INTO x_orders (side, price, tags, made, doc) VALUES ($1, $2, $3, $4, $5)")
            .bind(if i % 2 == 0 { Side::Buy } else { Side::Sell })
            .bind(Decimal::new(i, 2))
            .bind(vec!["a".to_owned(), i.to_string()])
            .bind(made)
            .bind(sqlx::types::Json(vec![1, 2]))
            .execute(&pool)
            .await?;
    }
    let orders: Vec<Order> = sqlx::query_as("SELECT * FROM x_orders WHERE side = $1 AND id = ANY($2) ORDER BY id")
        .bind(Side::Sell)
        .bind(vec![1i64, 2, 4])
        .fetch_all(&pool)
        .await?;
    ensure!(orders.len() == 2 && orders[0].price == Decimal::new(1, 2) && orders[0].made == made, "{orders:?}");
    ensure!(orders[1].tags == ["a", "3"] && orders[1].doc.0 == [1, 2] && orders[1].note.is_none());
    let mut builder = QueryBuilder::new("INSERT INTO x_orders (side, price, tags, made, doc) ");
    builder.push_values(0..50, |mut row, i| {
        row.push_bind(Side::Buy).push_bind(Decimal::from(i)).push_bind(Vec::<String>::new()).push_bind(made).push_bind(sqlx::types::Json(vec![i]));
    });
    ensure!(builder.build().execute(&pool).await?.rows_affected() == 50);
    let total: Decimal = sqlx::query_scalar("SELECT sum(price) FROM x_orders").fetch_one(&pool).await?;
    ensure!(total == Decimal::new(122_545, 2), "{total}");
    let count = sqlx::query("SELECT id FROM x_orders").fetch(&pool).try_fold(0, |n, _| async move { Ok(n + 1) }).await?;
    ensure!(count == 60);
    pool.execute("DROP TABLE x_orders; DROP TYPE x_side").await?;
    Ok(())
}

async fn described() -> Result<()> {
    let pool = pool().await?;
    pool.execute("CREATE TABLE x_seen (a int PRIMARY KEY, b text, c numeric NOT NULL)").await?;
    // What the query! macros ask for when a program is compiled.
    let seen = pool.describe("SELECT s.a, b, c, count(*) OVER () AS n FROM x_seen s WHERE a = $1 AND b = $2").await?;
    let names: Vec<_> = seen.columns().iter().map(|column| (column.name(), column.type_info().name())).collect();
    ensure!(names == [("a", "INT4"), ("b", "TEXT"), ("c", "NUMERIC"), ("n", "INT8")], "{names:?}");
    let nulls: Vec<_> = (0..3).map(|i| seen.nullable(i)).collect();
    ensure!(nulls == [Some(false), Some(true), Some(false)], "{nulls:?}");
    pool.execute("DROP TABLE x_seen").await?;
    Ok(())
}

async fn pooled() -> Result<()> {
    let pool = pool().await?;
    let answers = try_join_all((0..100i32).map(|i| {
        let pool = pool.clone();
        async move { sqlx::query_scalar::<_, i32>("SELECT $1 + 1").bind(i).fetch_one(&pool).await }
    }))
    .await?;
    ensure!(answers == (1..=100).collect::<Vec<_>>());
    ensure!(pool.size() <= 5);
    Ok(())
}

async fn transactions() -> Result<()> {
    let pool = pool().await?;
    pool.execute("CREATE TABLE x_tx (a int PRIMARY KEY)").await?;
    let mut outer = pool.begin().await?;
    sqlx::query("INSERT INTO x_tx VALUES (1)").execute(&mut *outer).await?;
    let mut inner = outer.begin().await?;
    let error = sqlx::query("INSERT INTO x_tx VALUES (1)").execute(&mut *inner).await.err().context("no error")?;
    let known = error.as_database_error().context("no error of the database")?;
    ensure!(known.is_unique_violation() && known.constraint() == Some("x_tx_pkey"));
    inner.rollback().await?;
    outer.commit().await?;
    let mut dropped = pool.begin().await?;
    sqlx::query("INSERT INTO x_tx VALUES (2)").execute(&mut *dropped).await?;
    drop(dropped);
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM x_tx").fetch_one(&pool).await?;
    ensure!(count == 1, "{count}");
    pool.execute("DROP TABLE x_tx").await?;
    Ok(())
}

async fn copies() -> Result<()> {
    let pool = pool().await?;
    pool.execute("CREATE TABLE x_copy (a int, b text)").await?;
    let mut copy = pool.copy_in_raw("COPY x_copy FROM STDIN (FORMAT csv)").await?;
    for i in 0..100 {
        copy.send(format!("{i},row\n").into_bytes()).await?;
    }
    ensure!(copy.finish().await? == 100);
    let out: Vec<u8> = pool.copy_out_raw("COPY (SELECT a FROM x_copy WHERE a < 3 ORDER BY a) TO STDOUT").await?.try_fold(Vec::new(), |mut all, part| async move {
        all.extend_from_slice(&part);
        Ok(all)
    }).await?;
    ensure!(out == b"0\n1\n2\n");
    pool.execute("DROP TABLE x_copy").await?;
    Ok(())
}

async fn migrations() -> Result<()> {
    let pool = pool().await?;
    let place = std::env::temp_dir().join(format!("x_migrations.{}", std::process::id()));
    std::fs::create_dir_all(&place)?;
    std::fs::write(place.join("1_first.up.sql"), "CREATE TABLE x_made (t timestamptz NOT NULL, v float8); SELECT create_hypertable('x_made', 't');")?;
    std::fs::write(place.join("1_first.down.sql"), "DROP TABLE x_made;")?;
    let migrator = Migrator::new(place.as_path()).await?;
    // Both wait for the same advisory lock.
    let (one, two) = tokio::join!(migrator.run(&pool), migrator.run(&pool));
    one?;
    two?;
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations WHERE success").fetch_one(&pool).await?;
    ensure!(count == 1, "{count}");
    migrator.undo(&pool, 0).await?;
    ensure!(sqlx::query("SELECT to_regclass('x_made') IS NULL AS gone").fetch_one(&pool).await?.get::<bool, _>("gone"));
    pool.execute("DROP TABLE _sqlx_migrations").await?;
    std::fs::remove_dir_all(place)?;
    Ok(())
}

async fn listened() -> Result<()> {
    let pool = pool().await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen_all(["x_news", "x_more"]).await?;
    sqlx::query("SELECT pg_notify('x_more', 'y')").execute(&pool).await?;
    let note = listener.recv().await?;
    ensure!((note.channel(), note.payload()) == ("x_more", "y"));
    let mut connection = pool.acquire().await?;
    connection.ping().await?;
    Ok(())
}

pub(crate) async fn run(failed: &mut bool) {
    check(failed, "sqlx: rows as structures", structures()).await;
    check(failed, "sqlx: statements described, with what may be null", described()).await;
    check(failed, "sqlx: a pool", pooled()).await;
    check(failed, "sqlx: transactions and savepoints", transactions()).await;
    check(failed, "sqlx: COPY", copies()).await;
    check(failed, "sqlx: migrations and their lock", migrations()).await;
    check(failed, "sqlx: listeners", listened()).await;
}
