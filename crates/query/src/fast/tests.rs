#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::BTreeMap;

use chronolith_engine::{Engine, EngineConfig};
use chronolith_platform::Platform;
use chronolith_platform::sim::SimDisk;

use futures::StreamExt;

use super::*;
use crate::bind::Bound;
use crate::session::Ready;
use crate::{Instance, Outcome, QueryOptions, Session, SessionOptions};

async fn session() -> Session {
    let platform = Platform::simulated(SimDisk::new(3), 3);
    let engine = Engine::open(platform, EngineConfig::default()).unwrap();
    let options = QueryOptions {
        memory_bytes_max: 1 << 26,
        threads: 2,
    };
    let instance = Instance::new(engine, options, BTreeMap::new()).unwrap();
    let options = SessionOptions {
        database: "postgres".into(),
        user: "postgres".into(),
        ..SessionOptions::default()
    };
    let mut session = Session::new(instance, options).unwrap();
    for sql in [
        "CREATE TABLE t (time timestamptz NOT NULL, venue text, symbol text, price numeric(20,8))",
        "SELECT create_hypertable('t', 'time')",
        "CREATE TABLE k (id int, name text, a int, b text, PRIMARY KEY (id), UNIQUE (a, b))",
    ] {
        let statements = session.parse(sql).unwrap();
        session.simple_begin(1).await.unwrap();
        let prepared = session.prepare(&statements[0], &[]).await.unwrap();
        if let Outcome::Rows { mut stream, .. } = session.execute(&prepared, &[]).await.unwrap() {
            while stream.next().await.is_some() {}
        }
        session.simple_end(true).await.unwrap();
    }
    session
}

async fn read<T>(session: &mut Session, sql: &str, of: impl Fn(&Bound) -> Option<T>) -> Option<T> {
    let statements = session.parse(sql).unwrap();
    session.simple_begin(1).await.unwrap();
    let prepared = session.prepare(&statements[0], &[]).await.unwrap();
    session.simple_end(true).await.unwrap();
    let Ready::Query(bound) = &prepared.ready else {
        panic!("{sql} is no query");
    };
    of(bound)
}

fn newest(bound: &Bound) -> Option<NewestRows> {
    NewestRows::of(&bound.plan)
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_of_the_newest_rows_need_no_planning_and_others_do() {
    let mut session = session().await;
    for sql in [
        "SELECT time, price FROM t WHERE venue = 'a' AND symbol = 'b' ORDER BY time DESC LIMIT 1",
        "SELECT * FROM t ORDER BY time LIMIT 10",
        "SELECT symbol, time FROM t WHERE symbol IN ('a', 'b') ORDER BY 2 DESC LIMIT 5",
        "SELECT x.time AS at FROM t x WHERE x.venue = 'a' ORDER BY at DESC LIMIT 3",
    ] {
        let found = read(&mut session, sql, newest).await;
        assert!(found.is_some(), "{sql}");
    }
    for sql in [
        "SELECT time, price FROM t WHERE price > 1 ORDER BY time DESC LIMIT 1",
        "SELECT time, price * 2 FROM t ORDER BY time DESC LIMIT 1",
        "SELECT time, price FROM t ORDER BY price DESC LIMIT 1",
        "SELECT time, price FROM t ORDER BY time DESC, price LIMIT 1",
        "SELECT time, price FROM t ORDER BY time DESC LIMIT 1 OFFSET 2",
        "SELECT time, price FROM t ORDER BY time DESC",
        "SELECT DISTINCT time FROM t ORDER BY time DESC LIMIT 1",
        "SELECT max(time) AS time FROM t ORDER BY time DESC LIMIT 1",
        "SELECT a.time FROM t a, t b ORDER BY a.time DESC LIMIT 1",
    ] {
        let found = read(&mut session, sql, newest).await;
        assert!(found.is_none(), "{sql}: {found:?}");
    }
    let one = "SELECT price, time FROM t WHERE symbol = 'b' ORDER BY time LIMIT 7";
    let found = read(&mut session, one, newest).await.unwrap();
    assert_eq!(found.request.projection, [3, 0, 0]);
    assert_eq!(found.request.equals, [(2, vec!["b".to_owned()])]);
    assert!(!found.request.newest);
}

#[tokio::test(flavor = "multi_thread")]
async fn look_ups_by_a_key_need_no_planning_and_others_do() {
    let mut session = session().await;
    let shared = std::sync::Arc::clone(&session.shared);
    let catalog = || shared.catalog();
    let table = |id| catalog().table(shared.database, id).cloned();
    let point = |bound: &Bound| Point::of(&bound.plan, table);
    for sql in [
        "SELECT * FROM k WHERE id = 7",
        "SELECT name || 'x' FROM k WHERE 3 + $1 = id AND name <> ''",
        "SELECT x.id FROM k AS x WHERE b = $1 AND a = $2 ORDER BY 1 LIMIT 1",
        "SELECT 1 FROM (SELECT id AS i, a FROM k) AS x WHERE i = 1 AND a > 0",
        "SELECT 1, now(), $1::int",
    ] {
        assert!(read(&mut session, sql, point).await.is_some(), "{sql}");
    }
    for sql in [
        "SELECT * FROM k WHERE id > 7",
        "SELECT * FROM k WHERE a = 7",
        "SELECT * FROM k WHERE id = a",
        "SELECT * FROM k WHERE id = 7 OR id = 8",
        "SELECT count(*) FROM k WHERE id = 7",
        "SELECT random() FROM k WHERE id = 7",
        "SELECT * FROM k WHERE id = (SELECT 7)",
        "SELECT ctid FROM k WHERE id = 7",
        "SELECT * FROM k WHERE id = 7 LIMIT 0",
        "SELECT * FROM k WHERE id = 7 OFFSET 1",
        "SELECT * FROM t WHERE time = '2026-01-01'",
        "SELECT nextval('s')",
        "SELECT generate_series(1, 2)",
    ] {
        let found = read(&mut session, sql, point).await;
        assert!(found.is_none(), "{sql}: {found:?}");
    }
}
