//! Settings that files hold.

use std::fs;

use tokio_postgres::Client;

use crate::program::{Serving, run, stderr};

async fn one(client: &Client, sql: &str) -> String {
    let row = client.query_one(sql, &[]).await;
    row.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
        .get(0)
}

#[tokio::test]
async fn what_alter_system_sets_is_written_reloaded_and_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["-c", "lock_timeout=7s"]);
    let client = serving.connect().await;
    for sql in [
        "ALTER SYSTEM SET work_mem = '64MB'",
        "ALTER SYSTEM SET lock_timeout = '9s'",
        "ALTER SYSTEM SET max_connections = 7",
        "ALTER SYSTEM SET my.own = 'it''s'",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    let auto = fs::read_to_string(dir.path().join("postgresql.auto.conf")).unwrap();
    assert!(auto.contains("\nwork_mem = '64MB'\n"), "{auto}");
    assert!(auto.contains("\nmy.own = 'it''s'\n"), "{auto}");
    // Nothing changes before the files are read again.
    assert_eq!(one(&client, "SHOW work_mem").await, "4MB");
    client
        .execute("SELECT pg_reload_conf()", &[])
        .await
        .unwrap();
    assert_eq!(one(&client, "SHOW work_mem").await, "64MB");
    assert_eq!(one(&client, "SHOW my.own").await, "it's");
    // The command line goes over files.
    assert_eq!(one(&client, "SHOW lock_timeout").await, "7s");
    let shown = "SELECT concat_ws(' ', source, sourceline, pending_restart, reset_val) FROM pg_settings WHERE name = ";
    let of = |name: &str| format!("{shown}'{name}'");
    assert_eq!(
        one(&client, &of("work_mem")).await,
        "configuration file 3 f 65536"
    );
    assert_eq!(
        one(&client, &of("lock_timeout")).await,
        "command line f 7000"
    );
    assert!(one(&client, &of("max_connections")).await.contains(" t "));
    let file = "SELECT sourcefile FROM pg_settings WHERE name = 'work_mem'";
    assert!(one(&client, file).await.ends_with("/postgresql.auto.conf"));
    client.batch_execute("SET work_mem = '1MB'").await.unwrap();
    assert_eq!(one(&client, &of("work_mem")).await, "session f 65536");
    client.batch_execute("RESET work_mem").await.unwrap();
    assert_eq!(one(&client, "SHOW work_mem").await, "64MB");
    for sql in [
        "CREATE DATABASE other",
        "ALTER ROLE postgres IN DATABASE other SET work_mem = '2MB'",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    let other = serving.connect_to("other").await;
    assert_eq!(one(&other, "SHOW work_mem").await, "2MB");
    assert_eq!(one(&other, &of("work_mem")).await, "database user f 2048");
    let recorded = "SELECT setrole::regrole || ' ' || datname FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase";
    assert_eq!(one(&other, recorded).await, "postgres other");
    let gone = "ALTER ROLE postgres IN DATABASE nosuch SET work_mem = '2MB'";
    let refused = client.batch_execute(gone).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "3D000");
    let fresh = serving.connect().await;
    assert_eq!(one(&fresh, "SHOW work_mem").await, "64MB");
    drop((other, fresh));
    let in_block = "BEGIN; ALTER SYSTEM SET work_mem = '1MB'";
    let refused = client.batch_execute(in_block).await.unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "25001");
    drop(client);
    serving.kill();

    fs::write(
        dir.path().join("postgresql.conf"),
        "statement_timeout = 30s\nwork_mem = 8MB # less\n",
    )
    .unwrap();
    let serving = Serving::start(dir.path(), &[]);
    let client = serving.connect().await;
    assert_eq!(one(&client, "SHOW work_mem").await, "64MB");
    assert_eq!(one(&client, "SHOW statement_timeout").await, "30s");
    assert_eq!(one(&client, "SHOW lock_timeout").await, "9s");
    assert_eq!(one(&client, "SHOW max_connections").await, "7");
    client
        .batch_execute("ALTER SYSTEM RESET work_mem")
        .await
        .unwrap();
    client
        .execute("SELECT pg_reload_conf()", &[])
        .await
        .unwrap();
    assert_eq!(one(&client, "SHOW work_mem").await, "8MB");
    let files = "SELECT string_agg(concat_ws(' ', sourceline, name, setting, applied), ';' ORDER BY seqno) FROM pg_file_settings WHERE sourcefile LIKE '%/postgresql.conf'";
    assert_eq!(
        one(&client, files).await,
        "1 statement_timeout 30s t;2 work_mem 8MB t"
    );
    // A file with a wrong line changes nothing that runs, and starts nothing.
    fs::write(dir.path().join("postgresql.conf"), "work_mem = plenty\n").unwrap();
    client
        .execute("SELECT pg_reload_conf()", &[])
        .await
        .unwrap();
    assert_eq!(one(&client, "SHOW work_mem").await, "8MB");
    let error = "SELECT error FROM pg_file_settings WHERE name = 'work_mem'";
    assert_eq!(
        one(&client, error).await,
        "invalid value for parameter \"work_mem\": \"plenty\""
    );
    drop(client);
    serving.kill();
    let data = dir.path().display().to_string();
    let ended = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        stderr(&ended).contains("contains errors"),
        "{}",
        stderr(&ended)
    );
}
