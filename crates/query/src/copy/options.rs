//! COPY's options, as PostgreSQL spells and checks them.

use chronolith_types::SqlState;

use crate::error::Error;
use crate::outcome::CopyFormat;

/// Whether the first line names the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// It is data.
    Off,
    /// It is skipped, or written.
    On,
    /// It must name the columns in their order.
    Match,
}

/// How the data is laid out.
#[derive(Debug, Clone)]
pub struct CopyOptions {
    /// Text, CSV or binary.
    pub format: CopyFormat,
    /// Between fields.
    pub delimiter: u8,
    /// How NULL looks.
    pub null: Vec<u8>,
    /// CSV's quote.
    pub quote: u8,
    /// CSV's escape inside quotes.
    pub escape: u8,
    /// About the first line.
    pub header: Header,
    /// Columns (of the data) whose values are always quoted on the way out.
    pub force_quote: Vec<usize>,
    /// Columns whose quoted text is matched with the null string too.
    pub force_null: Vec<usize>,
    /// Columns that are never matched with the null string.
    pub force_not_null: Vec<usize>,
}

impl CopyOptions {
    /// The text format's defaults.
    #[must_use]
    pub fn text() -> Self {
        Self {
            format: CopyFormat::Text,
            delimiter: b'\t',
            null: b"\\N".to_vec(),
            quote: b'"',
            escape: b'"',
            header: Header::Off,
            force_quote: Vec::new(),
            force_null: Vec::new(),
            force_not_null: Vec::new(),
        }
    }

    /// CSV's defaults.
    #[must_use]
    pub fn csv() -> Self {
        Self {
            format: CopyFormat::Csv,
            delimiter: b',',
            null: Vec::new(),
            ..Self::text()
        }
    }

    /// The binary format's.
    #[must_use]
    pub fn binary() -> Self {
        Self {
            format: CopyFormat::Binary,
            ..Self::text()
        }
    }

    /// What PostgreSQL refuses in combination.
    ///
    /// # Errors
    /// 22023 or 0A000 with PostgreSQL's words.
    pub fn check(&self) -> Result<(), Error> {
        let invalid = |message: &str| Err(Error::new(SqlState::INVALID_PARAMETER_VALUE, message));
        if matches!(self.delimiter, b'\n' | b'\r') {
            return invalid("COPY delimiter cannot be newline or carriage return");
        }
        if self.null.iter().any(|byte| matches!(byte, b'\n' | b'\r')) {
            return invalid("COPY null representation cannot use newline or carriage return");
        }
        if self.format == CopyFormat::Text
            && b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&self.delimiter)
        {
            return invalid(&format!(
                "COPY delimiter cannot be \"{}\"",
                char::from(self.delimiter)
            ));
        }
        if self.format == CopyFormat::Csv && self.delimiter == self.quote {
            return invalid("COPY delimiter and quote must be different");
        }
        if self.null.contains(&self.delimiter) && self.format != CopyFormat::Binary {
            return invalid("COPY delimiter character must not appear in the NULL specification");
        }
        if self.format == CopyFormat::Csv && self.null.contains(&self.quote) {
            return invalid("CSV quote character must not appear in the NULL specification");
        }
        Ok(())
    }
}
