//! The server stops, and tells its clients.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio_postgres::{Config, NoTls};

use super::fake::{Fake, serve_until};
use crate::ServerConfig;

#[tokio::test]
async fn clients_that_wait_and_clients_that_run_hear_57p01_and_the_server_ends() {
    let (stop, stopped) = oneshot::channel::<()>();
    let (address, running) = serve_until(Fake::default(), ServerConfig::default(), async {
        let _ = stopped.await;
    })
    .await;
    let connect = || async {
        let mut config = Config::new();
        config
            .host("127.0.0.1")
            .port(address.port())
            .user("postgres")
            .dbname("postgres");
        let (client, connection) = config.connect(NoTls).await.unwrap();
        (client, tokio::spawn(connection))
    };
    let (_idle, idle) = connect().await;
    let (busy, busy_connection) = connect().await;
    let statement = tokio::spawn(async move { busy.batch_execute("sleep").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(5), running).await;
    ended.unwrap().unwrap();
    let code = |error: &tokio_postgres::Error| error.code().map(|code| code.code().to_owned());
    let told = idle.await.unwrap().unwrap_err();
    assert_eq!(code(&told).as_deref(), Some("57P01"));
    let told = statement.await.unwrap().unwrap_err();
    assert_eq!(code(&told).as_deref(), Some("57P01"));
    drop(busy_connection);
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}
