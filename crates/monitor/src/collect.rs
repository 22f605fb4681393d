//! The figures: what is asked of each database, and the metrics that the answers become.
//!
//! Names are those of postgres_exporter where it has one, so that dashboards made for it stay; what is
//! TimescaleDB's begins with `timescaledb_`, what is our own with `chronolith_`.

use std::collections::BTreeMap;

use chronolith::{Connection, Database, Error, Rows};

use crate::process;
use crate::text::{Kind, Page};

use Kind::{Counter, Gauge};

/// How long one statement of a scrape may take: a figure that is missing is better than a page that
/// does not come.
const STATEMENT_TIMEOUT: &str = "SET statement_timeout = '5s'";

/// A statement, and the metrics that its columns are: first so many labels, then values.
struct Figures {
    /// Whether it tells of the whole server: it is then asked once.
    server: bool,
    /// Whether the database's name is the first label.
    labels: &'static [&'static str],
    values: &'static [(&'static str, Kind, &'static str)],
    sql: &'static str,
}

const FIGURES: &[Figures] = &[
    Figures {
        server: true,
        labels: &["version"],
        values: &[("pg_static", Gauge, "The version that clients are told.")],
        sql: "SELECT current_setting('server_version'), 1",
    },
    Figures {
        server: true,
        labels: &[],
        values: &[(
            "pg_postmaster_start_time_seconds",
            Gauge,
            "When the server was started, seconds since 1970.",
        )],
        sql: "SELECT extract(epoch FROM pg_postmaster_start_time())",
    },
    Figures {
        server: true,
        labels: &[],
        values: &[(
            "pg_settings_max_connections",
            Gauge,
            "How many sessions there may be at once.",
        )],
        sql: "SELECT current_setting('max_connections')",
    },
    Figures {
        server: true,
        labels: &["datname", "state"],
        values: &[
            (
                "pg_stat_activity_count",
                Gauge,
                "Sessions of clients by their state.",
            ),
            (
                "pg_stat_activity_max_tx_duration",
                Gauge,
                "Seconds since the oldest transaction of these began.",
            ),
        ],
        sql: "SELECT datname, state, count(*), \
              coalesce(max(extract(epoch FROM now() - xact_start)), 0) \
              FROM pg_stat_activity WHERE backend_type = 'client backend' \
              AND pid <> pg_backend_pid() GROUP BY 1, 2",
    },
    Figures {
        server: true,
        labels: &["datname"],
        values: &[
            ("pg_stat_database_numbackends", Gauge, "Sessions."),
            (
                "pg_stat_database_xact_commit",
                Counter,
                "Transactions committed.",
            ),
            (
                "pg_stat_database_xact_rollback",
                Counter,
                "Transactions rolled back.",
            ),
            (
                "pg_stat_database_blks_read",
                Counter,
                "Regions of cold parts that were read from files.",
            ),
            (
                "pg_stat_database_blks_hit",
                Counter,
                "Regions of cold parts that had been read before.",
            ),
            (
                "pg_stat_database_tup_returned",
                Counter,
                "Rows given to clients.",
            ),
            ("pg_stat_database_tup_inserted", Counter, "Rows inserted."),
            ("pg_stat_database_tup_updated", Counter, "Rows updated."),
            ("pg_stat_database_tup_deleted", Counter, "Rows deleted."),
            ("pg_stat_database_deadlocks", Counter, "Deadlocks broken."),
            ("pg_stat_database_sessions", Counter, "Sessions begun."),
            (
                "pg_stat_database_active_time_seconds_total",
                Counter,
                "Seconds that statements took.",
            ),
            (
                "pg_database_size_bytes",
                Gauge,
                "Bytes of rows and cold parts, and of the log and the catalog that all share.",
            ),
        ],
        sql: "SELECT datname, numbackends, xact_commit, xact_rollback, blks_read, blks_hit, \
              tup_returned, tup_inserted, tup_updated, tup_deleted, deadlocks, sessions, \
              active_time / 1000, pg_database_size(datname) FROM pg_stat_database",
    },
    Figures {
        server: true,
        labels: &["datname", "mode"],
        values: &[(
            "pg_locks_count",
            Gauge,
            "Locks that are held or waited for.",
        )],
        sql: "SELECT coalesce(d.datname, ''), lower(l.mode), count(*) FROM pg_locks l \
              LEFT JOIN pg_database d ON d.oid = l.database GROUP BY 1, 2",
    },
    Figures {
        server: true,
        labels: &[],
        values: &[("pg_locks_waiting", Gauge, "Locks that somebody waits for.")],
        sql: "SELECT count(*) FROM pg_locks WHERE NOT granted",
    },
    Figures {
        server: true,
        labels: &[],
        values: &[(
            "pg_replication_lag_seconds",
            Gauge,
            "How far behind its primary a server is; 0 for one that has none.",
        )],
        sql: "SELECT 0",
    },
    Figures {
        server: true,
        labels: &[],
        values: &[(
            "pg_wal_size_bytes",
            Gauge,
            "Bytes of the log and the catalog's checkpoints.",
        )],
        sql: "SELECT pg_tablespace_size('pg_global')",
    },
    Figures {
        server: true,
        labels: &["datname", "user", "queryid"],
        values: &[
            (
                "pg_stat_statements_calls_total",
                Counter,
                "Runs of a statement.",
            ),
            (
                "pg_stat_statements_seconds_total",
                Counter,
                "Seconds that its runs took.",
            ),
            (
                "pg_stat_statements_rows_total",
                Counter,
                "Rows that it gave or changed.",
            ),
        ],
        sql: "SELECT coalesce(d.datname, s.dbid::text), coalesce(r.rolname, s.userid::text), \
              s.queryid, s.calls, s.total_exec_time / 1000, s.rows \
              FROM pg_catalog.pg_stat_statements(false) s \
              LEFT JOIN pg_database d ON d.oid = s.dbid LEFT JOIN pg_roles r ON r.oid = s.userid \
              ORDER BY s.total_exec_time DESC LIMIT 100",
    },
    Figures {
        server: false,
        labels: &["datname", "hypertable"],
        values: &[
            (
                "timescaledb_hypertable_size_bytes",
                Gauge,
                "Bytes of its rows and cold parts.",
            ),
            ("timescaledb_hypertable_chunks", Gauge, "Its chunks."),
            ("timescaledb_hypertable_rows", Gauge, "Its rows, nearly."),
        ],
        sql: "SELECT current_database(), format('%I.%I', hypertable_schema, hypertable_name), \
              hypertable_size(format('%I.%I', hypertable_schema, hypertable_name)::regclass), \
              num_chunks, \
              approximate_row_count(format('%I.%I', hypertable_schema, hypertable_name)::regclass) \
              FROM timescaledb_information.hypertables",
    },
    Figures {
        server: false,
        labels: &["datname", "hypertable"],
        values: &[
            (
                "timescaledb_hypertable_compressed_chunks",
                Gauge,
                "Its compressed chunks.",
            ),
            (
                "timescaledb_hypertable_before_compression_bytes",
                Gauge,
                "Bytes that its compressed chunks had before.",
            ),
            (
                "timescaledb_hypertable_after_compression_bytes",
                Gauge,
                "Bytes that they have since.",
            ),
        ],
        sql: "SELECT current_database(), format('%I.%I', h.hypertable_schema, h.hypertable_name), \
              coalesce(s.number_compressed_chunks, 0), \
              coalesce(s.before_compression_total_bytes, 0), \
              coalesce(s.after_compression_total_bytes, 0) \
              FROM timescaledb_information.hypertables h, LATERAL hypertable_compression_stats( \
              format('%I.%I', h.hypertable_schema, h.hypertable_name)::regclass) s",
    },
    Figures {
        server: false,
        labels: &["datname", "job_id", "proc_name"],
        values: &[
            ("timescaledb_job_runs_total", Counter, "Runs of a job."),
            (
                "timescaledb_job_failures_total",
                Counter,
                "Those that failed.",
            ),
            (
                "timescaledb_job_last_run_success",
                Gauge,
                "1 when the last run ended well, 0 when it failed.",
            ),
            (
                "timescaledb_job_last_run_duration_seconds",
                Gauge,
                "Seconds that the last run took.",
            ),
            (
                "timescaledb_job_last_success_time_seconds",
                Gauge,
                "When a run last ended well, seconds since 1970; 0 for never.",
            ),
        ],
        sql: "SELECT current_database(), j.job_id, j.proc_name, coalesce(s.total_runs, 0), \
              coalesce(s.total_failures, 0), \
              CASE WHEN s.last_run_status = 'Failed' THEN 0 ELSE 1 END, \
              coalesce(extract(epoch FROM s.last_run_duration), 0), \
              CASE WHEN isfinite(s.last_successful_finish) \
              THEN extract(epoch FROM s.last_successful_finish) ELSE 0 END \
              FROM timescaledb_information.jobs j \
              LEFT JOIN timescaledb_information.job_stats s USING (job_id)",
    },
    Figures {
        server: false,
        labels: &["datname", "view"],
        values: &[(
            "timescaledb_continuous_aggregate_pending_ranges",
            Gauge,
            "Ranges that reads compute from raw rows, because a job has not yet; 0 when none are owed.",
        )],
        sql: "SELECT current_database(), format('%I.%I', c.view_schema, c.view_name), \
              (SELECT count(*) FROM _timescaledb_catalog.continuous_aggs_materialization_invalidation_log l \
              WHERE l.materialization_id = m.mat_hypertable_id) \
              FROM timescaledb_information.continuous_aggregates c \
              JOIN _timescaledb_catalog.continuous_agg m \
              ON m.user_view_schema = c.view_schema AND m.user_view_name = c.view_name",
    },
];

/// Hypertables whose newest row's time tells how fresh they are.
const TIMED: &str = "SELECT format('%I.%I', hypertable_schema, hypertable_name), \
    quote_ident(primary_dimension) FROM timescaledb_information.hypertables \
    WHERE primary_dimension_type = 'timestamp with time zone'::regtype AND num_chunks > 0";

const NEWEST: &str = "timescaledb_hypertable_newest_time_seconds";
const NEWEST_HELP: &str = "The time of the newest row, seconds since 1970.";

/// Asks, and remembers its sessions.
pub(crate) struct Collector {
    database: Database,
    sessions: BTreeMap<String, Connection>,
}

impl std::fmt::Debug for Collector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

/// Samples of one metric: labels, and the value.
type Samples = Vec<(Vec<(&'static str, String)>, String)>;

impl Collector {
    pub(crate) fn new(database: Database) -> Self {
        Self {
            database,
            sessions: BTreeMap::new(),
        }
    }

    /// Whether a statement is answered.
    pub(crate) fn ready(&mut self) -> Result<(), Error> {
        let first = self.databases().into_iter().next();
        let name = first.unwrap_or_else(|| "postgres".to_owned());
        self.ask(&name, "SELECT 1").map(|_| ())
    }

    /// The page. What cannot be found is left out, and the log says why.
    pub(crate) fn collect(&mut self) -> String {
        let mut page = Page::default();
        page.single("pg_up", Gauge, "1: the server answers.", 1);
        let databases = self.databases();
        self.sessions.retain(|name, _| databases.contains(name));
        for figures in FIGURES {
            let asked = match figures.server {
                true => databases.get(..1).unwrap_or_default(),
                false => &databases,
            };
            let mut samples: Vec<Samples> = figures.values.iter().map(|_| Vec::new()).collect();
            for name in asked {
                match self.ask(name, figures.sql) {
                    Ok(rows) => gather(figures, &rows, &mut samples),
                    Err(error) => tracing::warn!("metrics of database \"{name}\": {error}"),
                }
            }
            for ((name, kind, help), samples) in figures.values.iter().zip(samples) {
                write(&mut page, (name, *kind, help), &samples);
            }
        }
        let newest = databases
            .iter()
            .flat_map(|name| self.newest(name))
            .collect();
        write(&mut page, (NEWEST, Gauge, NEWEST_HELP), &newest);
        let usage = self.database.usage();
        page.single(
            "chronolith_hot_rows_bytes",
            Gauge,
            "Bytes of rows in memory, with those of their keys.",
            usage.hot_bytes,
        );
        page.single(
            "chronolith_hot_rows_bytes_max",
            Gauge,
            "Bytes that rows in memory may have: hot_memory.",
            usage.hot_bytes_max,
        );
        if let Some(free) = usage.disk_free_bytes {
            page.single(
                "chronolith_disk_free_bytes",
                Gauge,
                "Bytes that the disk of the data directory has left.",
                free,
            );
        }
        page.single(
            "chronolith_writes_refused",
            Gauge,
            "1 when the disk has failed and the server wants to be started again.",
            u8::from(self.database.failed()),
        );
        process::collect(&mut page);
        page.into_text()
    }

    fn databases(&self) -> Vec<String> {
        let mut names = self.database.names();
        names.retain(|name| name != "template1");
        names
    }

    /// Asks one database, in a session that is kept until it fails.
    fn ask(&mut self, name: &str, sql: &str) -> Result<Rows, Error> {
        let mut session = match self.sessions.remove(name) {
            Some(session) => session,
            None => self.open(name)?,
        };
        let rows = session.query(sql)?;
        self.sessions.insert(name.to_owned(), session);
        Ok(rows)
    }

    fn open(&self, name: &str) -> Result<Connection, Error> {
        let mut session = self
            .database
            .connect_as_process(name, "chronolith metrics")?;
        session.execute(STATEMENT_TIMEOUT)?;
        Ok(session)
    }

    /// The time of each hypertable's newest row.
    fn newest(&mut self, name: &str) -> Samples {
        let mut samples = Vec::new();
        let tables = match self.ask(name, TIMED) {
            Ok(tables) => tables,
            Err(error) => {
                tracing::warn!("metrics of database \"{name}\": {error}");
                return samples;
            }
        };
        for row in tables.iter() {
            let (Ok(Some(table)), Ok(Some(column))) = (row.text(0), row.text(1)) else {
                continue;
            };
            let sql = format!("SELECT extract(epoch FROM max({column})) FROM {table}");
            let newest = self.ask(name, &sql);
            // A table may have been dropped meanwhile, and an empty one has no newest row.
            let newest = newest
                .ok()
                .and_then(|rows| rows.iter().next()?.text(0).ok()?);
            if let Some(newest) = newest {
                let labels = vec![("datname", name.to_owned()), ("hypertable", table)];
                samples.push((labels, newest));
            }
        }
        samples
    }
}

fn gather(figures: &Figures, rows: &Rows, samples: &mut [Samples]) {
    for row in rows.iter() {
        let text = |place: usize| row.text(place).ok().flatten();
        let labels: Vec<_> = figures
            .labels
            .iter()
            .enumerate()
            .map(|(place, label)| (*label, text(place).unwrap_or_default()))
            .collect();
        for (place, samples) in samples.iter_mut().enumerate() {
            if let Some(value) = text(figures.labels.len() + place) {
                samples.push((labels.clone(), value));
            }
        }
    }
}

fn write(page: &mut Page, (name, kind, help): (&str, Kind, &str), samples: &Samples) {
    if samples.is_empty() {
        return;
    }
    page.family(name, kind, help);
    for (labels, value) in samples {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        page.sample(name, &labels, value);
    }
}
