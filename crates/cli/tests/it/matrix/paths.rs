//! Ways for a statement to reach the database.

use std::collections::BTreeMap;
use std::str::FromStr;

use bytes::Bytes;
use chronolith::Database;
use futures::{SinkExt, StreamExt, pin_mut};
use tokio_postgres::{Client, Config, Error, NoTls};

use super::rights::{OBJECTS, Object, ROLES, setup};
use super::statements::{Shape, Statement};
use crate::program::Serving;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// The simple protocol.
    Simple,
    /// The extended protocol; COPY's messages follow a statement of it.
    Extended,
    /// A statement that SQL's PREPARE made.
    Prepared,
    /// The query of a cursor.
    Cursor,
    /// A text that a DO block runs.
    Body,
    /// A superuser's session that is the role for a while.
    SetRole,
    /// What a superuser has prepared, run by the role.
    Handed,
    /// EXPLAIN, which asks for what the statement asks for.
    Explained,
    /// The query of a CREATE TABLE AS.
    Made,
    /// A view of the role's own.
    OwnView,
    /// A statement of a function of the role's own, in SQL.
    OwnFunction,
    /// A program's own connection.
    Embedded,
}

/// How many of the paths, from the first, send a statement by itself.
pub(crate) const PLAIN: usize = 6;

pub(crate) const PATHS: &[Path] = &[
    Path::Simple,
    Path::Extended,
    Path::Prepared,
    Path::Cursor,
    Path::Body,
    Path::SetRole,
    Path::Handed,
    Path::Explained,
    Path::Made,
    Path::OwnView,
    Path::OwnFunction,
    Path::Embedded,
];

impl Path {
    /// Whether a statement of this shape goes this way at all.
    pub(crate) fn takes(self, statement: &Statement) -> bool {
        let shape = statement.shape;
        // Refused there (0A000) whoever asks.
        let locks = statement.sql.contains(" FOR UPDATE") || statement.sql.contains(" FOR SHARE");
        match self {
            Self::Extended => true,
            Self::Simple | Self::Body | Self::SetRole | Self::Embedded => {
                !matches!(shape, Shape::CopyIn | Shape::CopyOut)
            }
            Self::Prepared | Self::OwnFunction => matches!(shape, Shape::Rows | Shape::Changes),
            // What a function's body names is looked for by whoever was the first to run it.
            Self::Handed => {
                matches!(shape, Shape::Rows | Shape::Changes)
                    && !statement.on.iter().any(|on| on.is_function())
            }
            // It runs nothing: what a function does within is not asked for.
            Self::Explained => {
                matches!(shape, Shape::Rows | Shape::Changes)
                    && !locks
                    && !statement
                        .on
                        .iter()
                        .any(|on| on.is_function() || *on == Object::Sequence)
            }
            Self::Cursor => shape == Shape::Rows,
            Self::Made | Self::OwnView => shape == Shape::Rows && !locks,
        }
    }

    /// What is sent instead of a statement.
    fn dressed(self, sql: &str) -> String {
        match self {
            Self::Prepared => format!("PREPARE p AS {sql}; EXECUTE p"),
            Self::Cursor => format!("DECLARE q CURSOR FOR {sql}; FETCH ALL FROM q"),
            Self::Body => format!("DO $body$ BEGIN EXECUTE $text${sql}$text$; END $body$"),
            Self::Handed => "EXECUTE p".to_owned(),
            Self::Explained => format!("EXPLAIN {sql}"),
            Self::Made => format!("CREATE TEMP TABLE made (a) AS {sql}"),
            Self::OwnView => format!("CREATE TEMP VIEW seen AS {sql}; SELECT * FROM seen"),
            Self::OwnFunction => format!(
                "CREATE FUNCTION own.f() RETURNS void LANGUAGE sql AS $text${sql}$text$; SELECT own.f()"
            ),
            _ => sql.to_owned(),
        }
    }
}

/// The way in: a server's, or a program's own.
pub(crate) struct Door {
    clients: BTreeMap<String, Client>,
    boss: Option<Client>,
    program: Option<Database>,
    postgres: bool,
    place: String,
    chunk: String,
}

const CHUNK: &str = "SELECT format('%I.%I', chunk_schema, chunk_name) FROM timescaledb_information.chunks WHERE hypertable_name = 'h'";

async fn enter(place: &str, user: &str) -> Client {
    let mut config = Config::from_str(place).unwrap();
    let (client, connection) = config.user(user).connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

impl Door {
    pub(crate) async fn of_server(serving: &Serving, admin: &Client) -> Self {
        let chunk = admin.query_one(CHUNK, &[]).await.unwrap().get(0);
        // Roles without passwords come in by a rule.
        let place = format!("host=127.0.0.1 port={} dbname=postgres", serving.port);
        let mut clients = BTreeMap::new();
        for role in ROLES {
            let client = enter(&place, role).await;
            clients.insert((*role).to_owned(), client);
        }
        Self {
            clients,
            boss: Some(enter(&place, "boss").await),
            program: None,
            postgres: false,
            place,
            chunk,
        }
    }

    pub(crate) fn of_program(db: &Database) -> Self {
        let own = db.clone();
        let chunk = std::thread::spawn(move || {
            let mut connection = own.connect().unwrap();
            connection.query(CHUNK).unwrap().single().unwrap()
        });
        Self {
            clients: BTreeMap::new(),
            boss: None,
            program: Some(db.clone()),
            postgres: false,
            place: String::new(),
            chunk: chunk.join().unwrap(),
        }
    }

    pub(crate) async fn of_postgres(place: &str) -> Self {
        let config = Config::from_str(place).unwrap();
        let admin = enter(place, config.get_user().unwrap()).await;
        for sql in setup(false) {
            let done = admin.batch_execute(&sql).await;
            done.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        }
        let mut clients = BTreeMap::new();
        for role in ROLES {
            clients.insert((*role).to_owned(), enter(place, role).await);
        }
        Self {
            clients,
            boss: Some(admin),
            program: None,
            postgres: true,
            place: place.to_owned(),
            chunk: String::new(),
        }
    }

    /// PostgreSQL is left as it was found.
    pub(crate) async fn drop_all(&self) {
        let admin = self.boss.as_ref().unwrap();
        let roles = ROLES.join(", ");
        let drop = format!("DROP SCHEMA m, own CASCADE; DROP ROLE {roles}");
        admin.batch_execute(&drop).await.unwrap();
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.postgres
    }

    pub(crate) fn has(&self, path: Path) -> bool {
        (path == Path::Embedded) == self.program.is_some()
    }

    pub(crate) fn name_of(&self, object: Object) -> String {
        assert!(OBJECTS.contains(&object));
        match object {
            Object::Chunk => self.chunk.clone(),
            other => other.name().to_owned(),
        }
    }

    /// Runs a statement in a transaction that is rolled back: `ok`, or the SQLSTATE.
    pub(crate) async fn run(
        &mut self,
        role: &str,
        path: Path,
        statement: &Statement,
        sql: &str,
    ) -> String {
        let text = path.dressed(sql);
        if let Some(db) = &self.program {
            return within(db, role, &text);
        }
        let (client, begin) = match path {
            Path::SetRole => {
                let begin = format!("BEGIN; SET LOCAL ROLE {role}");
                (self.boss.as_ref().unwrap(), begin)
            }
            Path::Handed => {
                let begin = format!("PREPARE p AS {sql}; BEGIN; SET LOCAL ROLE {role}");
                (self.boss.as_ref().unwrap(), begin)
            }
            _ => (&self.clients[role], "BEGIN".to_owned()),
        };
        // The client library loses count of messages when the server refuses the data.
        let fresh = match statement.shape {
            Shape::CopyIn => Some(enter(&self.place, role).await),
            _ => None,
        };
        let client = fresh.as_ref().unwrap_or(client);
        client.batch_execute(&begin).await.unwrap();
        let done = match (path, statement.shape) {
            (_, Shape::CopyOut) => copy_out(client, &text).await,
            (_, Shape::CopyIn) => copy_in(client, &text).await,
            (Path::Extended, _) => client.query(&text, &[]).await.map(|_| ()),
            _ => client.simple_query(&text).await.map(|_| ()),
        };
        let after = match path {
            Path::Prepared | Path::Handed => "ROLLBACK; DEALLOCATE ALL",
            _ => "ROLLBACK",
        };
        if fresh.is_none() {
            client.batch_execute(after).await.unwrap();
        }
        match done {
            Ok(()) => "ok".to_owned(),
            Err(error) => match error.as_db_error() {
                Some(told) => match told.code().code() {
                    "42501" => "42501".to_owned(),
                    code => format!("{code} {}", told.message()),
                },
                None => error.to_string(),
            },
        }
    }
}

async fn copy_out(client: &Client, sql: &str) -> Result<(), Error> {
    let stream = client.copy_out(sql).await?;
    pin_mut!(stream);
    while let Some(piece) = stream.next().await {
        piece?;
    }
    Ok(())
}

async fn copy_in(client: &Client, sql: &str) -> Result<(), Error> {
    let sink = client.copy_in(sql).await?;
    pin_mut!(sink);
    let row = match sql.contains("(k, at)") {
        true => "8\t2025-01-02\n",
        false => "8\t2025-01-02\t1\n",
    };
    sink.send(Bytes::from_static(row.as_bytes())).await?;
    sink.finish().await.map(|_| ())
}

/// Runs it on a connection of the program's own.
fn within(db: &Database, role: &str, text: &str) -> String {
    let (db, role, text) = (db.clone(), role.to_owned(), text.to_owned());
    let run = std::thread::spawn(move || {
        let mut connection = db.connect_to("postgres", &role).unwrap();
        connection.run("BEGIN").unwrap();
        let done = connection.run(&text);
        connection.run("ROLLBACK").unwrap();
        match done {
            Ok(_) => "ok".to_owned(),
            Err(error) if error.code.as_str() == "42501" => "42501".to_owned(),
            Err(error) => format!("{} {}", error.code.as_str(), error.message),
        }
    });
    run.join().unwrap()
}
