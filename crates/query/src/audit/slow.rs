//! Statements in the server's log: all, some kinds, or those that took long.

use std::sync::Arc;

use super::mask::masked;
use crate::session::State;
use crate::settings::Settings;

/// Which statements `log_statement` names, each kind with those before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Which {
    #[default]
    None,
    /// Definitions.
    Ddl,
    /// What changes rows, too.
    Mod,
    All,
}

/// What the settings say of logging statements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Logging {
    /// `log_min_duration_statement`, ms: from so many on.
    slow_ms: Option<u64>,
    /// `log_duration`: how long each took.
    durations: bool,
    which: Which,
}

impl Logging {
    fn of(settings: &Settings) -> Self {
        let slow = settings.integer("log_min_duration_statement");
        Self {
            slow_ms: slow.and_then(|ms| u64::try_from(ms).ok()),
            durations: settings.on("log_duration"),
            which: match settings.get("log_statement") {
                Some("ddl") => Which::Ddl,
                Some("mod") => Which::Mod,
                Some("all") => Which::All,
                _ => Which::None,
            },
        }
    }
}

impl State {
    /// What the settings say of logging statements; looked up when one of them has changed.
    pub(crate) fn logging(&mut self) -> Logging {
        let revision = self.settings.revision();
        if self.logging.0 != revision {
            self.logging = (revision, Logging::of(&self.settings));
        }
        self.logging.1
    }
}

/// A statement's kind, by its command tag.
fn which(tag: &str, reads: bool) -> Which {
    let verb = tag.split(' ').next().unwrap_or_default();
    match verb {
        "INSERT" | "UPDATE" | "DELETE" | "MERGE" | "TRUNCATE" => Which::Mod,
        "COPY" if !reads => Which::Mod,
        "CREATE" | "ALTER" | "DROP" | "GRANT" | "REVOKE" | "COMMENT" | "SECURITY" | "REASSIGN"
        | "REFRESH" => Which::Ddl,
        _ => Which::All,
    }
}

/// Who runs a statement, and how.
#[derive(Debug, Clone)]
pub(crate) struct Spoken {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) pid: i32,
    /// `statement`, or `execute` with the name it was prepared under.
    pub(crate) how: String,
    pub(crate) text: Arc<str>,
}

/// A statement that is to be logged when it ends.
#[derive(Debug)]
pub(crate) struct Slow {
    spoken: Spoken,
    logging: Logging,
    /// Its text is in the log already.
    told: bool,
}

impl Logging {
    /// Whether nothing is ever logged.
    pub(crate) fn is_silent(self) -> bool {
        self == Self::default()
    }

    /// A statement begins: logs it if its kind is to be; what is to be done at its end.
    pub(crate) fn begin(self, tag: &str, reads: bool, spoken: Spoken) -> Option<Slow> {
        let told = self.which > Which::None && which(tag, reads) <= self.which;
        if told {
            spoken.log(&format!("{}: {}", spoken.how, masked(&spoken.text)));
        }
        (self.slow_ms.is_some() || self.durations).then_some(Slow {
            spoken,
            logging: self,
            told,
        })
    }
}

impl Slow {
    /// The statement has ended well.
    pub(crate) fn end(&self, ns: u64) {
        let slow = self.logging.slow_ms.is_some_and(|ms| ns / 1_000_000 >= ms);
        if !slow && !self.logging.durations {
            return;
        }
        let ms = ns as f64 / 1e6;
        let spoken = &self.spoken;
        match slow && !self.told {
            true => spoken.log(&format!(
                "duration: {ms:.3} ms  {}: {}",
                spoken.how,
                masked(&spoken.text)
            )),
            false => spoken.log(&format!("duration: {ms:.3} ms")),
        }
    }
}

impl Spoken {
    fn log(&self, message: &str) {
        tracing::info!(
            user = self.user,
            dbname = self.database,
            pid = self.pid,
            "{message}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_those_of_log_statement() {
        for (tag, reads, kind) in [
            ("CREATE TABLE", false, Which::Ddl),
            ("GRANT", false, Which::Ddl),
            ("TRUNCATE TABLE", false, Which::Mod),
            ("COPY", false, Which::Mod),
            ("COPY", true, Which::All),
            ("SELECT", true, Which::All),
            ("SET", false, Which::All),
        ] {
            assert_eq!(which(tag, reads), kind, "{tag}");
        }
        assert!(Which::Ddl < Which::Mod && Which::Mod < Which::All);
    }
}
