//! Runs that are made in one go give what they give one by one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith::{Database, Error, Outcome, Prepared, Session, SessionOptions};
use chronolith_platform::SimRandom;
use std::sync::Arc;
use tokio::runtime::Runtime;

use crate::sessions::open;

const HISTORIES: u64 = 60;
const STEPS: u64 = 12;

/// A client, as the server is one for it.
struct Client {
    runtime: Runtime,
    session: Session,
}

/// The values of a run's parameters, as texts.
type Given = Vec<Option<String>>;

impl Client {
    fn new(db: &Database) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .build()
            .unwrap();
        let options = SessionOptions {
            database: "postgres".to_owned(),
            user: "postgres".to_owned(),
            ..SessionOptions::default()
        };
        let session = db.session(options).unwrap();
        Self { runtime, session }
    }

    fn prepare(&mut self, sql: &str) -> Result<Arc<Prepared>, Error> {
        let statement = self.session.parse(sql)?.remove(0);
        self.runtime.block_on(self.session.prepare(&statement, &[]))
    }

    fn run(&mut self, sql: &str) -> Result<(), Error> {
        let prepared = self.prepare(sql)?;
        self.one(&prepared, &Vec::new())?;
        self.runtime.block_on(self.session.sync(true))
    }

    fn one(&mut self, prepared: &Arc<Prepared>, given: &Given) -> Result<String, Error> {
        let values = given
            .iter()
            .map(|value| (false, value.as_deref().map(str::as_bytes)));
        let params = self.session.parameters(prepared, values)?;
        let ran = self.session.execute(prepared, &params);
        match self.runtime.block_on(ran)? {
            Outcome::Command { tag } => Ok(tag),
            _ => Ok(String::new()),
        }
    }

    /// All runs one by one, up to the first that fails.
    fn each(&mut self, prepared: &Arc<Prepared>, runs: &[Given]) -> Result<Vec<String>, Error> {
        runs.iter().map(|given| self.one(prepared, given)).collect()
    }

    /// All runs in one go; None when nothing was done.
    fn at_once(&mut self, prepared: &Arc<Prepared>, runs: &[Given]) -> Option<Vec<String>> {
        let values = runs.iter().map(|given| {
            let given = given.iter();
            given.map(|value| (false, value.as_deref().map(str::as_bytes)))
        });
        let params = self.session.parameters_of_many(prepared, values)?;
        let ran = self.session.execute_many(prepared, &params, runs.len());
        let done = self.runtime.block_on(ran);
        done.then(|| vec!["INSERT 0 1".to_owned(); runs.len()])
    }

    fn sync(&mut self, ok: bool) -> Result<(), Error> {
        self.runtime.block_on(self.session.sync(ok))
    }
}

/// The statements, of a table whose name is put into them.
const STATEMENTS: [&str; 6] = [
    "INSERT INTO {t} VALUES ($1, $2, $3)",
    "INSERT INTO {t} (v, k, at) VALUES ($3, $2, $1)",
    "INSERT INTO {t} (at, k, v) VALUES ($1, upper($2), $3 + 1)",
    "INSERT INTO {t} (at, k, v) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    "INSERT INTO {t} (at, k, v) VALUES ($1, $2, $3) ON CONFLICT (at, k) DO UPDATE SET v = {t}.v + excluded.v",
    "INSERT INTO {t} (at, k, v) VALUES ($1, $2, $3) ON CONFLICT (at, k) DO UPDATE SET v = excluded.v WHERE {t}.v < 50",
];

fn some_runs(random: &SimRandom) -> Vec<Given> {
    let count = 1 + random.below(12);
    let run = |_| {
        let minute = random.below(40);
        let at = format!("2026-01-{:02} 00:{minute:02}:00+00", 1 + random.below(3));
        let key = char::from(b'a' + u8::try_from(random.below(3)).unwrap());
        // A value that the table takes, none, one that breaks its condition, or no number.
        let value = match random.below(40) {
            0 => None,
            1 => Some("-7".to_owned()),
            2 => Some("seven".to_owned()),
            _ => Some(random.below(90).to_string()),
        };
        vec![Some(at), Some(key.to_string()), value]
    };
    (0..count).map(run).collect()
}

#[test]
fn runs_in_one_go_give_what_they_give_one_by_one() {
    let mut met = [0_u64; 3];
    for seed in 0..HISTORIES {
        let random = SimRandom::new(seed);
        let (_dir, db) = open();
        let mut client = Client::new(&db);
        for table in ["one", "each"] {
            client
                .run(&format!(
                    "CREATE TABLE {table} (at timestamptz NOT NULL, k text NOT NULL, v int NOT NULL CHECK (v >= 0), \
                     made timestamptz DEFAULT date_trunc('year', now()), twice int GENERATED ALWAYS AS (v * 2) STORED, \
                     n bigserial, PRIMARY KEY (at, k))"
                ))
                .unwrap();
            if seed % 3 > 0 {
                client
                    .run(&format!("SELECT create_hypertable('{table}', 'at', chunk_time_interval => interval '1 day')"))
                    .unwrap();
            }
        }
        for _ in 0..STEPS {
            let statement = STATEMENTS[usize::try_from(random.below(6)).unwrap()];
            let runs = some_runs(&random);
            let block = random.below(3) == 0;
            let mut told = Vec::new();
            for table in ["one", "each"] {
                let prepared = client.prepare(&statement.replace("{t}", table)).unwrap();
                client.sync(true).unwrap();
                if block {
                    client.run("BEGIN").unwrap();
                }
                let ran = match table {
                    "one" => match client.at_once(&prepared, &runs) {
                        Some(tags) => {
                            met[0] += 1;
                            Ok(tags)
                        }
                        None => client.each(&prepared, &runs),
                    },
                    _ => client.each(&prepared, &runs),
                };
                client.sync(ran.is_ok()).unwrap();
                if block {
                    client
                        .run(if ran.is_ok() { "COMMIT" } else { "ROLLBACK" })
                        .unwrap();
                }
                let said = |error: Error| {
                    let message = error.message.replace(table, "t");
                    (error.code.to_string(), message, error.detail)
                };
                told.push(ran.map_err(said));
            }
            assert_eq!(told[0], told[1], "seed {seed}: {statement} {runs:?}");
            met[1] += u64::from(told[0].is_err());
            met[2] += 1;
            let mut reader = db.connect().unwrap();
            let differ = "SELECT count(*) FROM ((SELECT at, k, v, twice, n FROM one EXCEPT ALL SELECT at, k, v, twice, n FROM each) \
                 UNION ALL (SELECT at, k, v, twice, n FROM each EXCEPT ALL SELECT at, k, v, twice, n FROM one)) AS d";
            assert_eq!(
                reader.query(differ).unwrap().single::<i64>().unwrap(),
                0,
                "seed {seed}: {statement} {runs:?}"
            );
            let numbers = "SELECT count(*) FROM one_n_seq o JOIN each_n_seq e ON (o.last_value, o.is_called) = (e.last_value, e.is_called)";
            assert_eq!(
                reader.query(numbers).unwrap().single::<i64>().unwrap(),
                1,
                "numbers of seed {seed}: {statement} {runs:?}"
            );
            if random.below(4) == 0 {
                reader
                    .query("SELECT compress_chunk(c, true) FROM show_chunks('one') c")
                    .ok();
            }
        }
    }
    let [at_once, failed, all] = met;
    assert!(at_once > all / 4 && failed > 0, "{met:?}");
}

#[test]
fn what_sees_the_runs_before_it_is_run_alone() {
    let (_dir, db) = open();
    let mut client = Client::new(&db);
    let sqls = [
        "CREATE TABLE plain (a int PRIMARY KEY, b int)",
        "CREATE SEQUENCE s",
        "CREATE TABLE numbered (id serial PRIMARY KEY, a int UNIQUE)",
        "CREATE TABLE pairs (a int, one int DEFAULT nextval('s'), other int DEFAULT nextval('s'))",
        "CREATE TABLE tree (a int PRIMARY KEY, b int REFERENCES tree)",
        "CREATE TABLE fired (a int, b int)",
        "CREATE FUNCTION counted() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT count(*) FROM plain); END $$",
        "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.b = (SELECT count(*) FROM fired); RETURN NEW; END $$",
        "CREATE TRIGGER t BEFORE INSERT ON fired FOR EACH ROW EXECUTE FUNCTION fire()",
    ];
    for sql in sqls {
        client.run(sql).unwrap();
    }
    let runs: Vec<Given> = (0..3).map(|n| vec![Some(n.to_string())]).collect();
    let alone = [
        "INSERT INTO pairs (a) VALUES ($1)",
        "INSERT INTO numbered VALUES (nextval('s') + $1::int, $1::int) RETURNING id",
        "INSERT INTO tree VALUES ($1::int, $1::int)",
        "INSERT INTO fired VALUES ($1::int)",
        "INSERT INTO plain VALUES ($1::int, counted())",
        "INSERT INTO plain VALUES ($1::int, (random() * 0)::int)",
        "INSERT INTO plain VALUES ($1::int, (SELECT count(*) FROM plain))",
        "INSERT INTO plain VALUES ($1::int) RETURNING a",
        "INSERT INTO plain VALUES ($1::int, 0), ($1::int + 10, 0)",
        "INSERT INTO plain VALUES ($1::int) ON CONFLICT (a) DO UPDATE SET b = $1::int",
        "INSERT INTO plain VALUES ($1::int) ON CONFLICT (a) DO UPDATE SET b = (SELECT count(*) FROM plain)",
        "UPDATE plain SET b = $1::int",
    ];
    for sql in alone {
        let prepared = client.prepare(sql).unwrap();
        assert_eq!(client.at_once(&prepared, &runs), None, "{sql}");
        client.sync(true).unwrap();
    }
    let prepared = client
        .prepare("INSERT INTO plain VALUES ($1::int, $1::int * 2)")
        .unwrap();
    assert!(client.at_once(&prepared, &runs).is_some());
    // The second time they are there.
    assert_eq!(client.at_once(&prepared, &runs), None);
    client.sync(true).unwrap();
    // Numbers of sequences go to the rows in their order, and go back where the runs are made alone.
    let numbered = client
        .prepare("INSERT INTO numbered (a) VALUES ($1)")
        .unwrap();
    assert!(client.at_once(&numbered, &runs).is_some());
    client.sync(true).unwrap();
    assert_eq!(client.at_once(&numbered, &runs), None);
    client.sync(true).unwrap();
    // The table has a trigger now: what was bound before knows.
    client
        .run("CREATE TRIGGER t BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION fire()")
        .unwrap();
    let others: Vec<Given> = (5..8).map(|n| vec![Some(n.to_string())]).collect();
    assert_eq!(client.at_once(&prepared, &others), None);
    client.sync(true).unwrap();
    let mut reader = db.connect().unwrap();
    let sum = reader.query("SELECT sum(a) + sum(b) FROM plain").unwrap();
    assert_eq!(sum.single::<i64>().unwrap(), 9);
    let numbers = "SELECT count(*) FROM numbered, numbered_id_seq q, s WHERE id = a + 1 AND q.last_value = 3 AND NOT s.is_called";
    assert_eq!(reader.query(numbers).unwrap().single::<i64>().unwrap(), 3);
    let counted = "SELECT calls FROM pg_stat_statements WHERE query LIKE 'INSERT INTO plain VALUES ($1::int, $1::int%'";
    client
        .run("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        .unwrap();
    assert_eq!(reader.query(counted).unwrap().single::<i64>().unwrap(), 3);
}
