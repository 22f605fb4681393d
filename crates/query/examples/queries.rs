//! Runs a file of SQL on a database in a directory, and queries of another many times over.
//!
//! `cargo run --release -p chronolith-query --example queries -- DIR SETUP.sql QUERIES.sql [RUNS] [ONLY]`
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a measurement, not the product"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use bytes::Bytes;
use chronolith_engine::{Engine, EngineConfig};
use chronolith_platform::Platform;
use chronolith_query::{Instance, Outcome, QueryOptions, Session, SessionOptions};
use futures::StreamExt;

async fn run(session: &mut Session, sql: &str, show: bool) -> usize {
    let mut rows = 0;
    let statements = session.parse(sql).unwrap();
    session.simple_begin(statements.len()).await.unwrap();
    for statement in &statements {
        let prepared = session.prepare(statement, &[]).await.unwrap();
        rows += outcome(session, &prepared, show).await;
    }
    session.simple_end(true).await.unwrap();
    rows
}

async fn outcome(
    session: &mut Session,
    prepared: &std::sync::Arc<chronolith_query::Prepared>,
    show: bool,
) -> usize {
    let mut rows = 0;
    if let Outcome::Rows {
        mut stream,
        columns,
        ..
    } = session.execute(prepared, &[]).await.unwrap()
    {
        while let Some(batch) = stream.next().await {
            let batch = batch.unwrap();
            rows += batch.num_rows();
            if show {
                let zone = session.time_zone();
                for row in 0..batch.num_rows().min(60) {
                    let mut line = Vec::new();
                    for (array, column) in batch.columns().iter().zip(&columns) {
                        if chronolith_query::value::is_null(array.as_ref(), row) {
                            line.extend_from_slice(b"NULL");
                        } else {
                            chronolith_query::value::write_text(
                                array.as_ref(),
                                row,
                                &column.ty,
                                &zone,
                                &mut line,
                            )
                            .unwrap();
                        }
                        line.push(b'|');
                    }
                    println!("    {}", String::from_utf8_lossy(&line));
                }
            }
        }
    }
    rows
}

async fn copy(session: &mut Session, sql: &str, file: &str) {
    let statements = session.parse(sql).unwrap();
    session.simple_begin(1).await.unwrap();
    let prepared = session.prepare(&statements[0], &[]).await.unwrap();
    session.execute(&prepared, &[]).await.unwrap();
    let mut input = std::fs::File::open(file).unwrap();
    loop {
        let mut buffer = vec![0; 1 << 20];
        let read = std::io::Read::read(&mut input, &mut buffer).unwrap();
        if read == 0 {
            break;
        }
        buffer.truncate(read);
        session.copy_data(Bytes::from(buffer)).await.unwrap();
    }
    session.copy_done().await.unwrap();
    session.simple_end(true).await.unwrap();
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let root = Path::new(&arguments[1]);
    let fresh = !root.join("wal").exists();
    std::fs::create_dir_all(root).unwrap();
    let engine = Engine::open(Platform::real(root).unwrap(), EngineConfig::default()).unwrap();
    let options = QueryOptions {
        memory_bytes_max: 4 << 30,
        threads: 4,
    };
    let instance = Instance::new(std::sync::Arc::clone(&engine), options, BTreeMap::new()).unwrap();
    let options = SessionOptions {
        database: "postgres".into(),
        user: "postgres".into(),
        ..SessionOptions::default()
    };
    let mut session = Session::new(instance, options).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .thread_stack_size(8 << 20)
        .build()
        .unwrap();
    let runs: usize = arguments.get(4).map_or(5, |n| n.parse().unwrap());
    let only = arguments.get(5).cloned().unwrap_or_default();
    runtime.block_on(async {
        if fresh {
            for line in std::fs::read_to_string(&arguments[2]).unwrap().split(';') {
                let line = line.trim();
                if line.is_empty() {
                    continue;
                }
                let began = Instant::now();
                match line.split_once(" @") {
                    Some((sql, file)) => copy(&mut session, sql, file.trim()).await,
                    None => {
                        run(&mut session, line, false).await;
                    }
                }
                println!(
                    "{:9.1} ms  {}",
                    began.elapsed().as_secs_f64() * 1000.0,
                    line.lines().next().unwrap_or_default()
                );
            }
        }
        let text = std::fs::read_to_string(&arguments[3]).unwrap();
        let mut id = "";
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("-- ") {
                id = comment;
                continue;
            }
            if !only.is_empty() && !only.split(',').any(|o| id.starts_with(o)) {
                continue;
            }
            let sql = line.trim_end_matches(';');
            let statements = match session.parse(sql) {
                Ok(s) => s,
                Err(e) => {
                    println!("{id}: {}", e.message);
                    continue;
                }
            };
            session.simple_begin(1).await.unwrap();
            let prepared = match session.prepare(&statements[0], &[]).await {
                Ok(p) => p,
                Err(e) => {
                    println!("{id}: {}", e.message);
                    let _ = session.simple_end(false).await;
                    continue;
                }
            };
            session.simple_end(true).await.unwrap();
            let mut spans = Vec::new();
            let mut rows = 0;
            for _ in 0..runs {
                let began = Instant::now();
                session.simple_begin(1).await.unwrap();
                rows = outcome(&mut session, &prepared, false).await;
                session.simple_end(true).await.unwrap();
                spans.push(began.elapsed().as_secs_f64() * 1000.0);
            }
            spans.sort_by(f64::total_cmp);
            println!(
                "{id:45} {rows:8} rows  median {:9.3} ms  least {:9.3}",
                spans[runs / 2],
                spans[0]
            );
            if std::env::var("EXPLAIN").is_ok() {
                run(&mut session, &format!("EXPLAIN ANALYZE {sql}"), true).await;
            }
        }
    });
    drop(session);
    engine.close().unwrap();
}
