//! Real trades, loaded and asked as a trading team would, where the samples are at hand.

use std::path::PathBuf;

use bytes::Bytes;
use futures::{SinkExt, pin_mut};
use tokio_postgres::{Client, SimpleQueryMessage};

use crate::program::Serving;

/// The folder of public samples beside the project, or the one that `CHRONOLITH_DATA` names.
fn samples() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let dir = std::env::var_os("CHRONOLITH_DATA").map_or_else(beside, PathBuf::from);
    dir.join("btcusdt_trades.csv").exists().then_some(dir)
}

const QUESTIONS: [&str; 5] = [
    "SELECT count(*), min(ts), max(ts), sum(price * quantity), count(*) FILTER (WHERE buyer_maker) FROM trades",
    "SELECT time_bucket('10 seconds', ts) AS bucket, first(price, trade_id), max(price), min(price), last(price, trade_id), sum(quantity), count(*) FROM trades GROUP BY bucket ORDER BY bucket",
    "SELECT * FROM trades ORDER BY ts DESC, trade_id DESC LIMIT 20",
    "SELECT DISTINCT ON (buyer_maker) buyer_maker, trade_id, price FROM trades ORDER BY buyer_maker, ts DESC, trade_id DESC",
    "SELECT trade_id, price - lag(price) OVER (ORDER BY trade_id) AS tick FROM trades ORDER BY abs(price) DESC, trade_id LIMIT 10",
];

async fn answers(client: &Client) -> Vec<Vec<Option<String>>> {
    let mut all = Vec::new();
    for question in QUESTIONS {
        for message in client.simple_query(question).await.unwrap() {
            if let SimpleQueryMessage::Row(row) = message {
                all.push(
                    (0..row.len())
                        .map(|at| row.get(at).map(str::to_owned))
                        .collect(),
                );
            }
        }
    }
    all
}

#[tokio::test]
async fn real_trades_answer_alike_hot_compressed_and_after_kill_9() {
    let Some(samples) = samples() else {
        eprintln!("no samples of real data here: nothing was tried");
        return;
    };
    let csv = std::fs::read(samples.join("btcusdt_trades.csv")).unwrap();
    let lines = csv.iter().filter(|byte| **byte == b'\n').count() as u64;
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    client
        .batch_execute(
            "CREATE TABLE trades (ts timestamptz NOT NULL, trade_id bigint NOT NULL, price numeric(20,8) NOT NULL,
                 quantity numeric(20,8) NOT NULL, buyer_maker boolean, PRIMARY KEY (ts, trade_id));
             SELECT create_hypertable('trades', 'ts', chunk_time_interval => INTERVAL '1 minute')",
        )
        .await
        .unwrap();
    let sink = client
        .copy_in::<_, Bytes>("COPY trades FROM STDIN WITH (FORMAT csv, HEADER)")
        .await
        .unwrap();
    pin_mut!(sink);
    for block in csv.chunks(10_000) {
        sink.send(Bytes::copy_from_slice(block)).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), lines - 1);
    let hot = answers(&client).await;
    assert_eq!(hot[0][0].as_deref(), Some((lines - 1).to_string().as_str()));

    client
        .simple_query("SELECT compress_chunk(c) FROM show_chunks('trades') c")
        .await
        .unwrap();
    assert_eq!(answers(&client).await, hot);

    serving.kill();
    let serving = Serving::start(dir.path(), &[]);
    assert_eq!(answers(&serving.connect().await).await, hot);
}
