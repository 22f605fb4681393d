//! Columns that relations have not: what people mean by them is elsewhere, or spelled another way.

use strsim::levenshtein;

use super::scope::Scope;

/// Views, columns that they have not, and where what these mean is.
const MISTAKEN: [(&str, &[&str], &str); 4] = [
    (
        "pg_stat_statements",
        &[
            "total_time",
            "min_time",
            "max_time",
            "mean_time",
            "stddev_time",
        ],
        "Times of running are total_exec_time, min_exec_time, max_exec_time, mean_exec_time and stddev_exec_time since PostgreSQL 13.",
    ),
    (
        "hypertables",
        &["compressed_chunks", "uncompressed_chunks"],
        "The view has num_chunks. Count timescaledb_information.chunks by is_compressed, or call hypertable_columnstore_stats.",
    ),
    (
        "compression_settings",
        &[
            "before_compression_table_bytes",
            "before_compression_index_bytes",
            "before_compression_toast_bytes",
            "before_compression_total_bytes",
            "after_compression_table_bytes",
            "after_compression_index_bytes",
            "after_compression_toast_bytes",
            "after_compression_total_bytes",
            "number_compressed_chunks",
            "total_chunks",
        ],
        "Sizes before and after compression are what hypertable_columnstore_stats(hypertable) returns.",
    ),
    (
        "continuous_aggregates",
        &["job_id", "last_run_started_at", "next_start"],
        "Jobs of continuous aggregates are in timescaledb_information.jobs, whose hypertable_name is the name of the view.",
    ),
];

/// A sentence for who names a column that none of some relations has, those of the nearest scope first;
/// `table` is the relation that was named with it.
pub(super) fn hint<'s>(
    scopes: impl Iterator<Item = &'s Scope>,
    table: Option<&str>,
    column: &str,
) -> Option<String> {
    let scopes: Vec<&Scope> = scopes.collect();
    let elsewhere = scopes.iter().find_map(|scope| elsewhere(scope, column));
    elsewhere
        .map(str::to_owned)
        .or_else(|| spelled(&scopes, table, column))
}

/// So many letters may be others.
const LETTERS_MAX: usize = 3;

/// The one or two columns whose names are nearest, when they are near enough: less than half of the name
/// is another. A relation's name that is another counts too. One that is just the one named is out of
/// reach.
fn spelled(scopes: &[&Scope], table: Option<&str>, column: &str) -> Option<String> {
    let mut nearest: Vec<(&str, &str)> = Vec::new();
    let mut least = LETTERS_MAX + 1;
    let columns = scopes.iter().flat_map(|scope| &scope.columns);
    for known in columns.filter(|known| !known.is_place()) {
        let Some(of) = known.table.as_deref() else {
            continue;
        };
        let letters = levenshtein(&known.name, column);
        if letters > column.len() / 2 {
            continue;
        }
        let apart = letters + table.map_or(0, |table| levenshtein(table, of));
        if apart == 0 {
            return Some(format!(
                "There is a column named \"{column}\" in table \"{of}\", but it cannot be referenced from this part of the query."
            ));
        }
        if apart < least {
            least = apart;
            nearest.clear();
        }
        if apart == least && apart <= LETTERS_MAX {
            nearest.push((of, &known.name));
        }
    }
    match nearest.as_slice() {
        [(of, name)] => Some(format!(
            "Perhaps you meant to reference the column \"{of}.{name}\"."
        )),
        [(of, name), (other, second)] => Some(format!(
            "Perhaps you meant to reference the column \"{of}.{name}\" or the column \"{other}.{second}\"."
        )),
        _ => None,
    }
}

fn elsewhere(scope: &Scope, column: &str) -> Option<&'static str> {
    let named = |view: &str| {
        let mut relations = scope.relations.iter();
        relations.any(|of| of.name == view || of.hides.as_deref() == Some(view))
    };
    MISTAKEN
        .iter()
        .find(|(view, columns, _)| columns.contains(&column) && named(view))
        .map(|(_, _, hint)| *hint)
}
