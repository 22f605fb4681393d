//! Metrics in Prometheus' text format, version 0.0.4.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::fmt::Write;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It only grows, until the server begins anew.
    Counter,
    /// It goes up and down.
    Gauge,
}

/// A page of metrics that grows family by family.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// Begins a family: its samples follow.
    pub(crate) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample; `value` is a number as PostgreSQL prints it.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.text.push_str(name);
        for (place, (label, value)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let value = match value {
            "Infinity" => "+Inf",
            "-Infinity" => "-Inf",
            "t" => "1",
            "f" => "0",
            value => value,
        };
        let _ = writeln!(self.text, " {value}");
    }

    /// A family of one sample without labels.
    pub(crate) fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl ToString) {
        self.family(name, kind, help);
        self.sample(name, &[], &value.to_string());
    }

    /// The whole page.
    pub(crate) fn into_text(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut page = Page::default();
        page.family("a_bytes", Kind::Gauge, "Bytes\nof \\a.");
        page.sample("a_bytes", &[("name", "x\"y\\z\n"), ("b", "é")], "1.5");
        page.sample("a_bytes", &[], "Infinity");
        page.single("up", Kind::Gauge, "Whether it is up.", 1);
        let expected = "# HELP a_bytes Bytes\\nof \\\\a.\n# TYPE a_bytes gauge\n\
                        a_bytes{name=\"x\\\"y\\\\z\\n\",b=\"é\"} 1.5\na_bytes +Inf\n\
                        # HELP up Whether it is up.\n# TYPE up gauge\nup 1\n";
        assert_eq!(page.into_text(), expected);
    }
}
