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
    /// What a line of text begins with: `log_line_prefix`.
    pub(crate) prefix: String,
    /// The least level, in tracing's words: `log_min_messages` says it in PostgreSQL's.
    pub(crate) filter: &'static str,
    /// Whether warnings are left out: to PostgreSQL what is logged of the normal course is more.
    pub(crate) quiet: bool,
}

impl Log {
    /// What a server writes when nobody says otherwise.
    pub(crate) fn server() -> Self {
        Self {
            form: Form::Text,
            prefix: PREFIX.to_owned(),
            filter: "info",
            quiet: false,
        }
    }

    /// What other commands write: what goes wrong.
    pub(crate) fn command() -> Self {
        Self {
            filter: "warn",
            ..Self::server()
        }
    }

    /// Takes a setting of the server's that is about the log; an error for a value it does not take.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let raw = value;
        let value = &*value.to_lowercase();
        match name {
            "log_line_prefix" => raw.clone_into(&mut self.prefix),
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

/// PostgreSQL's default of `log_line_prefix`.
const PREFIX: &str = "%m [%p] ";

/// Fields of an event that are no part of its message.
const OWN: [&str; 12] = [
    "pid",
    "user",
    "dbname",
    "application_name",
    "remote_host",
    "severity",
    "state_code",
    "cursor_position",
    "detail",
    "hint",
    "context",
    "statement",
];

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
            Form::Text => said.text(&self.0.prefix, &time, severity(level)),
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

    fn own(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// What stands before a message, by the escapes of `log_line_prefix`; others than these are nothing.
    fn prefix(&self, form: &str, time: &str) -> String {
        let mut text = String::new();
        let mut rest = form.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            // A number pads: to the left, or with its sign to the right.
            let mut width = String::new();
            let mut escape = rest.next();
            while let Some(c) = escape.filter(|c| c.is_ascii_digit() || *c == '-') {
                width.push(c);
                escape = rest.next();
            }
            let unknown = || "[unknown]".to_owned();
            let own = |name: &str| self.own(name).map_or_else(unknown, str::to_owned);
            let value = match escape {
                Some('m') => time.to_owned(),
                Some('t') => format!("{} UTC", time.get(..19).unwrap_or(time)),
                Some('p') => self.pid(),
                Some('u') => own("user"),
                Some('d') => own("dbname"),
                Some('a') => own("application_name"),
                Some('h' | 'r') => {
                    let host = self.own("remote_host");
                    let host = host
                        .or(self.own("user").map(|_| "[local]"))
                        .unwrap_or_default();
                    match (escape, host.rsplit_once(':')) {
                        (Some('h'), Some((address, _))) => address.to_owned(),
                        (_, Some((address, port))) => format!("{address}({port})"),
                        _ => host.to_owned(),
                    }
                }
                Some('e') => self.own("state_code").unwrap_or("00000").to_owned(),
                Some('b') => match self.own("user") {
                    Some(_) => "client backend".to_owned(),
                    None => "postmaster".to_owned(),
                },
                // Nobody's process goes on to what is behind it.
                Some('q') if self.own("user").is_none() => break,
                Some('%') => "%".to_owned(),
                _ => String::new(),
            };
            let most = width.trim_start_matches('-').parse().unwrap_or(0);
            text.push_str(&match width.starts_with('-') {
                true => format!("{value:<most$}"),
                false => format!("{value:>most$}"),
            });
        }
        text
    }

    /// A line that does not begin a message begins with a tab, as PostgreSQL's do. What belongs to a
    /// message has a line of its own.
    fn text(&self, form: &str, time: &str, severity: &str) -> String {
        let prefix = self.prefix(form, time);
        let tabbed = |text: &str| text.replace('\n', "\n\t");
        let severity = self.own("severity").unwrap_or(severity);
        let mut line = format!("{prefix}{severity}:  {}", tabbed(&self.message));
        if let Some(place) = self.own("cursor_position") {
            line.push_str(&format!(" at character {place}"));
        }
        for (name, value) in &self.fields {
            if !OWN.contains(name) {
                line.push_str(&format!(" {name}={}", tabbed(value)));
            }
        }
        for (name, word) in [
            ("detail", "DETAIL"),
            ("hint", "HINT"),
            ("context", "CONTEXT"),
            ("statement", "STATEMENT"),
        ] {
            if let Some(value) = self.own(name) {
                line.push_str(&format!("\n{prefix}{word}:  {}", tabbed(value)));
            }
        }
        line
    }

    /// The keys of PostgreSQL's jsonlog; others by their own names.
    fn json(&self, time: &str, severity: &str) -> String {
        let pid = self.pid();
        let mut line = format!("{{\"timestamp\":{}", text(time));
        let keyed = |line: &mut String, name: &str| {
            if let Some(value) = self.own(name) {
                line.push_str(&format!(",\"{name}\":{}", text(value)));
            }
        };
        keyed(&mut line, "user");
        keyed(&mut line, "dbname");
        let severity = self.own("severity").unwrap_or(severity);
        line.push_str(&format!(",\"pid\":{pid}"));
        if let Some((host, port)) = self
            .own("remote_host")
            .and_then(|host| host.rsplit_once(':'))
        {
            let port: u16 = port.parse().unwrap_or(0);
            line.push_str(&format!(
                ",\"remote_host\":{},\"remote_port\":{port}",
                text(host)
            ));
        }
        line.push_str(&format!(",\"error_severity\":{}", text(severity)));
        keyed(&mut line, "state_code");
        line.push_str(&format!(",\"message\":{}", text(&self.message)));
        for name in ["detail", "hint", "context", "statement"] {
            keyed(&mut line, name);
        }
        if let Some(place) = self.own("cursor_position") {
            line.push_str(&format!(",\"cursor_position\":{place}"));
        }
        if self
            .own("application_name")
            .is_some_and(|name| !name.is_empty())
        {
            keyed(&mut line, "application_name");
        }
        for (name, value) in &self.fields {
            if !OWN.contains(name) {
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
            said().text(PREFIX, time, "LOG"),
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
        let mut log = Log::server();
        log.set("log_destination", "jsonlog").unwrap();
        log.set("log_min_messages", "error").unwrap();
        assert_eq!(
            (log.form, log.filter, log.quiet),
            (Form::Json, "info", true)
        );
        assert!(log.set("log_destination", "syslog").is_err());
    }

    #[test]
    fn errors_have_a_line_for_each_of_their_parts_and_the_prefix_that_is_asked_for() {
        let mut said = said();
        said.message = "no such thing".to_owned();
        said.fields.pop();
        for (name, value) in [
            ("severity", "ERROR"),
            ("state_code", "42P01"),
            ("remote_host", "10.0.0.7:4711"),
            ("application_name", "psql"),
            ("cursor_position", "15"),
            ("hint", "Look again."),
            ("statement", "SELECT\n2"),
        ] {
            said.fields.push((name, value.to_owned()));
        }
        let time = "2026-11-22 01:36:25.123 UTC";
        assert_eq!(
            said.text("%t %u@%d/%a %h %r [%5p] %-6e|%q%% ", time, "ERROR"),
            "2026-11-22 01:36:25 UTC anna@market/psql 10.0.0.7 10.0.0.7(4711) [    7] 42P01 |% ERROR:  no such thing at character 15\n\
             2026-11-22 01:36:25 UTC anna@market/psql 10.0.0.7 10.0.0.7(4711) [    7] 42P01 |% HINT:  Look again.\n\
             2026-11-22 01:36:25 UTC anna@market/psql 10.0.0.7 10.0.0.7(4711) [    7] 42P01 |% STATEMENT:  SELECT\n\t2"
        );
        assert_eq!(
            said.json(time, "ERROR"),
            "{\"timestamp\":\"2026-11-22 01:36:25.123 UTC\",\"user\":\"anna\",\"dbname\":\"market\",\"pid\":7,\
             \"remote_host\":\"10.0.0.7\",\"remote_port\":4711,\"error_severity\":\"ERROR\",\"state_code\":\"42P01\",\
             \"message\":\"no such thing\",\"hint\":\"Look again.\",\"statement\":\"SELECT\\n2\",\"cursor_position\":15,\
             \"application_name\":\"psql\",\"backend_type\":\"client backend\"}"
        );
        let nobody = Said {
            message: "ready".to_owned(),
            fields: Vec::new(),
        };
        let line = nobody.text("<%m> %q%u ", time, "LOG");
        assert_eq!(line, format!("<{time}> LOG:  ready"));
    }
}
