//! What the program says of itself on stderr: lines as PostgreSQL writes them, or one of JSON each.

use std::fmt;
use std::io;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    /// `log_destination = stderr`
    #[default]
    Text,
    /// `log_destination = jsonlog`
    Json,
}

/// What is written, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) form: Form,
    /// The least level, in tracing's words: `log_min_messages` says it in PostgreSQL's.
    pub(crate) filter: &'static str,
    /// Whether warnings are left out: to PostgreSQL what is logged of the normal course is more.
    pub(crate) quiet: bool,
}

impl Log {
    /// What a server writes when nobody says otherwise.
    pub(crate) const SERVER: Self = Self {
        form: Form::Text,
        filter: "info",
        quiet: false,
    };
    /// What other commands write: what goes wrong.
    pub(crate) const COMMAND: Self = Self {
        form: Form::Text,
        filter: "warn",
        quiet: false,
    };

    /// Takes a setting of the server's that is about the log; an error for a value it does not take.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "log_destination" => {
                self.form = match value {
                    "stderr" => Form::Text,
                    "jsonlog" => Form::Json,
                    _ => {
                        return Err(format!(
                            "invalid value for parameter \"log_destination\": \"{value}\": take stderr or jsonlog"
                        ));
                    }
                }
            }
            "log_min_messages" => {
                (self.filter, self.quiet) = match value {
                    "debug5" | "debug4" | "debug3" => ("trace", false),
                    "debug2" | "debug1" => ("debug", false),
                    "error" | "log" => ("info", true),
                    "fatal" | "panic" => ("error", true),
                    _ => ("info", false),
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// From now on the program writes so. `RUST_LOG` decides otherwise.
    pub(crate) fn start(&self) {
        let filter = EnvFilter::try_from_default_env();
        tracing_subscriber::fmt()
            .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(self.filter)))
            .with_writer(io::stderr)
            .event_format(Lines(self.clone()))
            .init();
    }
}

/// PostgreSQL's word for a level.
fn severity(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNING",
        Level::INFO => "LOG",
        Level::DEBUG => "DEBUG1",
        Level::TRACE => "DEBUG5",
    }
}

struct Lines(Log);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        if self.0.quiet && level == Level::WARN {
            return Ok(());
        }
        let mut said = Said::default();
        event.record(&mut said);
        let time = now();
        let line = match self.0.form {
            Form::Text => said.text(&time, severity(level)),
            Form::Json => said.json(&time, severity(level)),
        };
        writeln!(writer, "{line}")
    }
}

/// The time as both forms begin: to the millisecond, in UTC.
fn now() -> String {
    let mut text = String::new();
    // Such as 2026-11-22T01:36:25.123456Z.
    let written = SystemTime.format_time(&mut Writer::new(&mut text));
    let whole = text.get(..23).filter(|_| written.is_ok());
    format!("{} UTC", whole.unwrap_or(&text).replace('T', " "))
}

/// An event's message and its other fields.
#[derive(Debug, Default)]
struct Said {
    message: String,
    fields: Vec<(&'static str, String)>,
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }
}

impl Said {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.fields.push((name, value)),
        }
    }

    /// The session's number, or the program's where none speaks.
    fn pid(&self) -> String {
        let own = self.fields.iter().find(|(name, _)| *name == "pid");
        own.map_or_else(|| std::process::id().to_string(), |(_, pid)| pid.clone())
    }

    /// A line that does not begin a message begins with a tab, as PostgreSQL's do.
    fn text(&self, time: &str, severity: &str) -> String {
        let mut line = format!(
            "{time} [{}] {severity}:  {}",
            self.pid(),
            self.message.replace('\n', "\n\t")
        );
        for (name, value) in &self.fields {
            if !matches!(*name, "pid" | "user" | "dbname") {
                line.push_str(&format!(" {name}={}", value.replace('\n', "\n\t")));
            }
        }
        line
    }

    /// The keys of PostgreSQL's jsonlog; others by their own names.
    fn json(&self, time: &str, severity: &str) -> String {
        let pid = self.pid();
        let mut line = format!("{{\"timestamp\":{}", text(time));
        let own = |name: &str| {
            let mut fields = self.fields.iter();
            fields.find(|(known, _)| *known == name).map(|(_, v)| v)
        };
        for name in ["user", "dbname"] {
            if let Some(value) = own(name) {
                line.push_str(&format!(",\"{name}\":{}", text(value)));
            }
        }
        line.push_str(&format!(
            ",\"pid\":{pid},\"error_severity\":{}",
            text(severity)
        ));
        line.push_str(&format!(",\"message\":{}", text(&self.message)));
        for (name, value) in &self.fields {
            if !matches!(*name, "pid" | "user" | "dbname") {
                line.push_str(&format!(",{}:{}", text(name), text(value)));
            }
        }
        line.push_str(",\"backend_type\":\"client backend\"}");
        line
    }
}

/// A string of JSON.
fn text(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if u32::from(c) < 0x20 => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn said() -> Said {
        Said {
            message: "duration: 12.345 ms  statement: SELECT\n1".to_owned(),
            fields: vec![
                ("user", "anna".to_owned()),
                ("dbname", "market".to_owned()),
                ("pid", "7".to_owned()),
                ("source", "a \"b\"".to_owned()),
            ],
        }
    }

    #[test]
    fn lines_are_those_of_postgresql() {
        let time = "2026-11-22 01:36:25.123 UTC";
        assert_eq!(
            said().text(time, "LOG"),
            "2026-11-22 01:36:25.123 UTC [7] LOG:  duration: 12.345 ms  statement: SELECT\n\t1 source=a \"b\""
        );
        assert_eq!(
            said().json(time, "LOG"),
            "{\"timestamp\":\"2026-11-22 01:36:25.123 UTC\",\"user\":\"anna\",\"dbname\":\"market\",\"pid\":7,\"error_severity\":\"LOG\",\"message\":\"duration: 12.345 ms  statement: SELECT\\n1\",\"source\":\"a \\\"b\\\"\",\"backend_type\":\"client backend\"}"
        );
        let time = now();
        assert_eq!(time.len(), 27, "{time}");
        assert!(time.ends_with(" UTC"), "{time}");
    }

    #[test]
    fn settings_choose_form_and_level() {
        let mut log = Log::SERVER;
        log.set("log_destination", "jsonlog").unwrap();
        log.set("log_min_messages", "error").unwrap();
        assert_eq!(
            (log.form, log.filter, log.quiet),
            (Form::Json, "info", true)
        );
        assert!(log.set("log_destination", "syslog").is_err());
    }
}
