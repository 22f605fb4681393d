//! What containers of PostgreSQL do at their first start.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use crate::dump::tool;
use crate::program::Serving;

#[tokio::test]
async fn a_script_that_cannot_be_run_by_itself_is_one_of_bash() {
    let dir = tempfile::tempdir().unwrap();
    let (data, scripts) = (dir.path().join("data"), dir.path().join("init"));
    fs::create_dir_all(&scripts).unwrap();
    // What the file system has at the root of a volume does not make it an old data directory.
    fs::create_dir_all(data.join("lost+found")).unwrap();
    let script = scripts.join("01.sh");
    fs::write(
        &script,
        "#!/bin/bash\nset -e\nwords=(one two)\n[[ $PGDATABASE == postgres ]] && echo \"ran with ${#words[@]} words\"\n",
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).unwrap();
    let serving = Serving::start(&data, &["--init-dir", scripts.to_str().unwrap()]);
    let log = serving.log_with("ran with 2 words");
    assert!(log.contains("ran with 2 words"), "{log}");
    // What scripts append to the rules stands behind those that hold without a file, the sockets' too.
    let rules = fs::read_to_string(data.join("pg_hba.conf")).unwrap();
    let local = rules
        .lines()
        .find(|line| line.starts_with("local"))
        .unwrap();
    assert!(local.ends_with("trust"), "{rules}");
    assert!(rules.contains("\nhostssl all "), "{rules}");
    // An image starts the server so: clients of its network come in the clear.
    let plain = dir.path().join("plain");
    let more = ["--plaintext", "--init-dir", scripts.to_str().unwrap()];
    drop(Serving::start(&plain, &more));
    let rules = fs::read_to_string(plain.join("pg_hba.conf")).unwrap();
    assert!(!rules.contains("hostssl"), "{rules}");
}

#[tokio::test]
async fn scripts_of_an_image_are_those_of_psql_and_its_log_says_twice_that_it_is_ready() {
    if tool("psql").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, scripts) = (dir.path().join("data"), dir.path().join("init"));
    fs::create_dir_all(&scripts).unwrap();
    let copy = "\\set name prices\nCREATE TABLE :name (symbol text, price int);\n\
        COPY :name FROM stdin WITH (FORMAT csv);\nBTC,1\nETH,2\n\\.\n";
    fs::write(scripts.join("01.sql"), copy).unwrap();
    let packed = std::process::Command::new("gzip")
        .arg("-c")
        .arg(scripts.join("01.sql"))
        .output()
        .unwrap();
    fs::write(scripts.join("02.sql.gz"), packed.stdout).unwrap();
    let text = fs::read_to_string(scripts.join("01.sql")).unwrap();
    fs::write(scripts.join("01.sql"), text.replace("prices", "others")).unwrap();
    let more = ["--init-server", "--init-dir", scripts.to_str().unwrap()];
    let serving = Serving::start(&data, &more);
    let ready = "database system is ready to accept connections";
    let mut log = serving.log_with("init process complete");
    for _ in 0..100 {
        if log.matches(ready).count() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        log = serving.log_with(ready);
    }
    assert_eq!(log.matches(ready).count(), 2, "{log}");
    assert_eq!(serving.terminate(), Some(0));
    // Those scripts are not run again, and it is ready at once.
    let serving = Serving::start(&data, &more);
    let client = serving.connect().await;
    let asked = "SELECT (SELECT sum(price) FROM prices) * 10 + (SELECT sum(price) FROM others)";
    let sums: i64 = client.query_one(asked, &[]).await.unwrap().get(0);
    assert_eq!(sums, 33);
}
