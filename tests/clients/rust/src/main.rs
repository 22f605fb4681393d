//! What tokio-postgres and sqlx ask of a server: run by `.ci/clients`.

mod sqlx_driver;
mod tokio_driver;

use std::future::Future;
use std::process::exit;
use std::time::Duration;

/// Tells of a check in a line: `ok - NAME`, or `not ok - NAME` and why.
async fn check(failed: &mut bool, name: &str, work: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
    let work = tokio::spawn(tokio::time::timeout(Duration::from_secs(60), work));
    let why = match work.await {
        Ok(Ok(Ok(()))) => {
            println!("ok - {name}");
            return;
        }
        Ok(Ok(Err(error))) => format!("{error:?}"),
        Ok(Err(_)) => "no end within a minute".to_owned(),
        Err(panic) => panic.to_string(),
    };
    *failed = true;
    println!("not ok - {name}\n{why}");
}

/// A part of the address, as libpq's variables have it.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

#[tokio::main]
async fn main() {
    let mut failed = false;
    tokio_driver::run(&mut failed).await;
    sqlx_driver::run(&mut failed).await;
    exit(failed.into());
}
