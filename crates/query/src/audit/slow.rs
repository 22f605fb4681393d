//! Statements in the server's log: all, some kinds, or those that took long.

use std::sync::Arc;

use super::failed::{Cut, Errors};
use super::mask::masked;
use crate::session::{Shared, State};
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
    /// `log_parameter_max_length`.
    params: Cut,
    errors: Errors,
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
            params: Cut::of(settings, "log_parameter_max_length"),
            errors: Errors::of(settings),
        }
    }
}

impl State {
    /// What they say of logging errors.
    pub(super) fn errors_logged(&mut self) -> Errors {
        self.logging().errors
    }

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

/// Who a line of the log is about.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    pub(crate) user: String,
    pub(crate) database: String,
    pub(crate) pid: i32,
    pub(crate) application: String,
    /// The client's address; None for one of this machine's file system, or of the program itself.
    pub(crate) client: Option<String>,
}

impl Speaker {
    pub(crate) fn of(shared: &Shared) -> Self {
        let known = shared.instance.session(shared.pid);
        let (application, client) = known.unwrap_or_default();
        Self {
            user: shared.with(|state| state.user.clone()),
            database: shared.database_name.clone(),
            pid: shared.pid,
            application,
            client,
        }
    }
}

/// A statement that somebody runs, and how.
#[derive(Debug, Clone)]
pub(crate) struct Spoken {
    pub(crate) by: Speaker,
    /// `statement`, or `execute` with the name it was prepared under.
    pub(crate) how: String,
    pub(crate) text: Arc<str>,
    /// Its parameters.
    pub(crate) params: Option<String>,
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
    /// How much of parameters is shown.
    pub(crate) fn params(self) -> Cut {
        self.params
    }

    /// Whether no statement is ever logged.
    pub(crate) fn is_silent(self) -> bool {
        self.slow_ms.is_none() && !self.durations && self.which == Which::None
    }

    /// A statement begins: logs it if its kind is to be; what is to be done at its end.
    pub(crate) fn begin(self, tag: &str, reads: bool, spoken: Spoken) -> Option<Slow> {
        let told = self.which > Which::None && which(tag, reads) <= self.which;
        if told {
            spoken.log(&format!("{}: {}", spoken.how, masked(&spoken.text)), true);
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
            true => {
                let text = masked(&spoken.text);
                let message = format!("duration: {ms:.3} ms  {}: {text}", spoken.how);
                spoken.log(&message, true);
            }
            false => spoken.log(&format!("duration: {ms:.3} ms"), false),
        }
    }
}

impl Spoken {
    fn log(&self, message: &str, with_params: bool) {
        let params = self.params.as_ref().filter(|_| with_params);
        let detail = params.map(|params| format!("parameters: {params}"));
        tracing::info!(
            user = self.by.user,
            dbname = self.by.database,
            pid = self.by.pid,
            application_name = self.by.application,
            remote_host = self.by.client,
            detail,
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
