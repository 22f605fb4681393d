//! What a server writes down: its log, its audit log, and the rules that it reads.

use std::fs;

use crate::program::{Serving, run, stderr, stdout};

const CANARY: &str = "kanarienvogel-17";

#[tokio::test]
async fn slow_statements_are_logged_as_postgresql_logs_them_and_without_passwords() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(dir.path(), &["-c", "log_min_duration_statement=0"]);
    let client = serving.connect().await;
    let masked = format!("ALTER ROLE postgres PASSWORD '{CANARY}'");
    client.batch_execute(&masked).await.unwrap();
    client.simple_query("SELECT 1 AS simple").await.unwrap();
    client
        .query("SELECT $1::int AS extended", &[&1])
        .await
        .unwrap();
    let quiet = "SET log_min_duration_statement = '1h'; SELECT 2 AS quiet";
    client.batch_execute(quiet).await.unwrap();
    client
        .batch_execute("SET log_statement = 'ddl'")
        .await
        .unwrap();
    client
        .batch_execute("CREATE TABLE told (a int)")
        .await
        .unwrap();
    client.batch_execute("SELECT 3 AS quiet").await.unwrap();
    let log = serving.log_with("statement: CREATE TABLE told");
    let line = |text: &str| {
        let found = log.lines().find(|line| line.contains(text));
        found
            .unwrap_or_else(|| panic!("no {text} in\n{log}"))
            .to_owned()
    };
    let simple = line("SELECT 1 AS simple");
    let (head, tail) = simple.split_once(" LOG:  duration: ").unwrap();
    assert!(head.contains(" UTC ["), "{simple}");
    let (time, tail) = tail.split_once(" ms  ").unwrap();
    assert!(
        time.parse::<f64>().unwrap() >= 0.0 && time.len() >= 5,
        "{simple}"
    );
    assert_eq!(tail, "statement: SELECT 1 AS simple");
    let extended = line("AS extended");
    assert!(extended.contains(" ms  execute "), "{extended}");
    assert!(line("ALTER ROLE").ends_with("ALTER ROLE postgres PASSWORD '********'"));
    assert!(line("CREATE TABLE told").ends_with("LOG:  statement: CREATE TABLE told (a int)"));
    assert!(!log.contains("AS quiet"), "{log}");
    assert!(!log.contains(CANARY), "{log}");
}

#[tokio::test]
async fn the_log_is_json_when_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["-c", "log_destination=jsonlog", "-c", "log_statement=all"];
    let serving = Serving::start(dir.path(), &more);
    let client = serving.connect().await;
    client.simple_query("SELECT 'a \"b\"'").await.unwrap();
    let log = serving.log_with("a \\\"b\\\"");
    for line in log.lines() {
        assert!(line.starts_with("{\"timestamp\":\"20"), "{line}");
        assert!(line.ends_with('}'), "{line}");
    }
    let told = log.lines().find(|line| line.contains("SELECT 'a")).unwrap();
    assert!(
        told.contains("\"user\":\"postgres\",\"dbname\":\"postgres\",\"pid\":"),
        "{told}"
    );
    assert!(
        told.contains("\"error_severity\":\"LOG\",\"message\":\"statement: "),
        "{told}"
    );
    let wrong = run(&[
        "serve",
        "--data-dir",
        "/nowhere/at/all",
        "-c",
        "log_destination=syslog",
    ]);
    assert!(
        stderr(&wrong).contains("take stderr or jsonlog"),
        "{}",
        stderr(&wrong)
    );
}

#[tokio::test]
async fn logins_are_told_of_and_a_changed_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let serving = Serving::start(&data, &[]);
    let client = serving.connect().await;
    client
        .batch_execute("CREATE TABLE t (a int)")
        .await
        .unwrap();
    assert!(serving.connect_as("nobody").await.is_err());
    let rows = client
        .query(
            "SELECT kind, user_name, outcome FROM chronolith_audit_log ORDER BY number",
            &[],
        )
        .await
        .unwrap();
    let told: Vec<(String, String, String)> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let record = |kind: &str, user: &str, outcome: &str| {
        (kind.to_owned(), user.to_owned(), outcome.to_owned())
    };
    assert_eq!(
        told,
        [
            record("login", "postgres", "ok"),
            record("ddl", "postgres", "ok"),
            record("login", "nobody", "28000"),
        ]
    );
    serving.kill();

    let data = data.display().to_string();
    let verify = || run(&["audit", "verify", "--data-dir", &data]);
    let good = verify();
    assert!(good.status.success(), "{}", stderr(&good));
    assert!(
        stdout(&good).starts_with("3 records hold"),
        "{}",
        stdout(&good)
    );
    let path = format!("{data}/audit.log");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("CREATE TABLE t", "CREATE TABLE u")).unwrap();
    let bad = verify();
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        stdout(&bad).contains("record 2, at byte"),
        "{}",
        stdout(&bad)
    );
    // What a crash leaves of a record is none.
    fs::write(&path, &whole[..whole.len() - 20]).unwrap();
    let torn = verify();
    assert!(torn.status.success(), "{}", stderr(&torn));
    assert!(
        stdout(&torn).contains("the end is torn"),
        "{}",
        stdout(&torn)
    );
    // Records taken off the end are missed by who kept the last hash.
    let head = whole.trim_end().rsplit('"').nth(1).unwrap().to_owned();
    let lines: Vec<&str> = whole.lines().collect();
    fs::write(&path, format!("{}\n{}\n", lines[0], lines[1])).unwrap();
    assert!(verify().status.success());
    let missed = run(&["audit", "verify", "--data-dir", &data, "--head", &head]);
    assert_eq!(missed.status.code(), Some(1));
    assert!(
        stderr(&missed).contains("taken off the end"),
        "{}",
        stderr(&missed)
    );
}

/// Number, type, address and error of a line.
type Shown = (i32, Option<String>, Option<String>, Option<String>);

#[tokio::test]
async fn rules_are_read_at_the_start_and_again_when_asked_to() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    drop(Serving::start(&data, &[]));
    let rules = data.join("pg_hba.conf");
    fs::write(
        &rules,
        "local all all peer\nhost all postgres samehost trust\n",
    )
    .unwrap();
    let serving = Serving::start(&data, &[]);
    let client = serving.connect().await;
    let sql = "SELECT line_number, type, database::text, user_name::text, address, auth_method, error FROM pg_hba_file_rules";
    let shown = |rows: Vec<tokio_postgres::Row>| -> Vec<Shown> {
        rows.iter()
            .map(|row| (row.get(0), row.get(1), row.get(4), row.get(6)))
            .collect()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        shown(client.query(sql, &[]).await.unwrap()),
        [
            (1, some("local"), None, None),
            (2, some("host"), some("samehost"), None)
        ]
    );

    // A file with a wrong line changes nothing, and is shown.
    fs::write(
        &rules,
        "host all all all trust\nhost all all all nonsense\n",
    )
    .unwrap();
    client
        .execute("SELECT pg_reload_conf()", &[])
        .await
        .unwrap();
    let error = some("invalid authentication method \"nonsense\"");
    assert_eq!(
        shown(client.query(sql, &[]).await.unwrap())[1],
        (2, None, None, error)
    );
    let log = serving.log_with("pg_hba.conf was not reloaded");
    assert!(log.contains("line 2 of configuration file"), "{log}");
    assert!(serving.connect_as("nobody").await.is_err());
    serving.connect().await;

    fs::write(&rules, "host all all all reject\n").unwrap();
    serving.signal("-HUP");
    let mut refused = None;
    for _ in 0..100 {
        refused = serving.try_connect().await.err();
        if refused.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let refused = refused.unwrap();
    let refused = refused.as_db_error().unwrap();
    assert_eq!(refused.code().code(), "28000");
    assert_eq!(
        refused.message(),
        "pg_hba.conf rejects connection for host \"127.0.0.1\", user \"postgres\", database \"postgres\", no encryption"
    );
    drop(serving);
    fs::write(&rules, "host all\n").unwrap();
    let data = data.display().to_string();
    let ended = run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]);
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        stderr(&ended).contains("could not load"),
        "{}",
        stderr(&ended)
    );
}

#[tokio::test]
async fn errors_are_logged_with_their_statements_and_parameters() {
    let dir = tempfile::tempdir().unwrap();
    let serving = Serving::start(
        dir.path(),
        &[
            "-c",
            "log_statement=all",
            "-c",
            "log_parameter_max_length_on_error=3",
            "-c",
            "log_line_prefix=<%u@%d %e> ",
        ],
    );
    let client = serving.connect().await;
    assert!(client.batch_execute("SELECT *\nFROM nosuch").await.is_err());
    assert!(client.batch_execute("SELEC 2").await.is_err());
    let divided = client
        .query(
            "SELECT 10 / $1::int, $2::text, $3::text",
            &[&0, &"it's long", &None::<&str>],
        )
        .await;
    assert!(divided.is_err());
    client
        .batch_execute("SET log_min_error_statement = 'fatal'; SET log_statement = 'none'")
        .await
        .unwrap();
    assert!(client.batch_execute("SELECT 1 FROM bare").await.is_err());
    client
        .batch_execute("SET log_min_messages = 'fatal'")
        .await
        .unwrap();
    assert!(client.batch_execute("SELECT 1 FROM silent").await.is_err());
    client
        .batch_execute("SET log_min_messages = 'warning'")
        .await
        .unwrap();
    assert!(client.batch_execute("SELECT 1 FROM last").await.is_err());
    let log = serving.log_with("\"last\"");
    let who = "<postgres@postgres";
    for lines in [
        format!(
            "{who} 42P01> ERROR:  relation \"nosuch\" does not exist at character 15\n\
             {who} 42P01> STATEMENT:  SELECT *\n\tFROM nosuch\n"
        ),
        format!("{who} 42601> ERROR:  syntax error at or near \"SELEC\" at character 1\n"),
        format!(
            ": SELECT 10 / $1::int, $2::text, $3::text\n\
             {who} 00000> DETAIL:  parameters: $1 = '0', $2 = 'it''s long', $3 = NULL\n"
        ),
        format!(
            "{who} 22012> ERROR:  division by zero\n\
             {who} 22012> CONTEXT:  unnamed portal with parameters: $1 = '0', $2 = 'it''...', $3 = NULL\n\
             {who} 22012> STATEMENT:  SELECT 10 / $1::int, $2::text, $3::text\n"
        ),
        format!(
            "{who} 42P01> ERROR:  relation \"bare\" does not exist at character 15\n{who} 42P01> ERROR:  relation \"last\""
        ),
    ] {
        assert!(log.contains(&lines), "no\n{lines}\nin\n{log}");
    }
    assert!(!log.contains("silent"), "{log}");
}

#[tokio::test]
async fn who_comes_and_goes_is_logged_when_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let more = ["-c", "log_connections=on", "-c", "log_disconnections=on"];
    let serving = Serving::start(dir.path(), &more);
    let client = serving.connect().await;
    client.batch_execute("SELECT 1").await.unwrap();
    drop(client);
    let refused = serving.connect_as("nobody").await;
    assert!(refused.is_err());
    let log = serving.log_with("nobody");
    for text in [
        "LOG:  connection received: host=127.0.0.1 port=",
        "LOG:  connection authorized: user=postgres database=postgres",
        "FATAL:  role \"nobody\" does not exist",
    ] {
        assert!(log.contains(text), "no {text} in\n{log}");
    }
    let log = serving.log_with("disconnection");
    let line = log.lines().find(|line| line.contains("disconnection"));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert!(
        line.contains("LOG:  disconnection: session time: 0:00:0"),
        "{line}"
    );
    assert!(
        line.contains(" user=postgres database=postgres host=127.0.0.1 port="),
        "{line}"
    );
}

#[tokio::test]
async fn no_secret_is_in_the_log_whatever_becomes_of_its_statement() {
    for form in ["stderr", "jsonlog"] {
        let dir = tempfile::tempdir().unwrap();
        let form = format!("log_destination={form}");
        let serving = Serving::start(
            dir.path(),
            &[
                "-c",
                &form,
                "-c",
                "log_statement=all",
                "-c",
                "log_min_duration_statement=0",
                "-c",
                "log_parameter_max_length_on_error=-1",
                "-c",
                "log_connections=on",
            ],
        );
        let client = serving.connect().await;
        for text in [
            format!("CREATE ROLE anna LOGIN PASSWORD '{CANARY}'"),
            format!("ALTER ROLE anna ENCRYPTED PASSWORD '{CANARY}' VALID UNTIL 'infinity'"),
            format!("ALTER ROLE nobody PASSWORD '{CANARY}'"),
            format!("CREATE ROLE anna PASSWORD '{CANARY}'"),
            format!("ALTER ROLE anna PASSWORD '{CANARY}"),
            format!("DO $$ BEGIN EXECUTE 'ALTER ROLE nobody PASSWORD ''{CANARY}'''; END $$"),
            format!("SELECT nosuch('host=db user=anna password={CANARY} dbname=x')"),
            format!("SELECT nosuch('postgresql://anna:{CANARY}@db:5432/x')"),
            format!("CREATE SUBSCRIPTION s CONNECTION 'host=db password={CANARY}' PUBLICATION p"),
        ] {
            drop(client.batch_execute(&text).await);
            drop(client.query(&text, &[]).await);
        }
        client
            .batch_execute("SELECT 'the end of it'")
            .await
            .unwrap();
        let log = serving.log_with("the end of it");
        assert!(log.contains("PASSWORD '********'"), "{log}");
        let told = log.lines().find(|line| line.contains(CANARY));
        assert!(told.is_none(), "{told:?}");
    }
}
