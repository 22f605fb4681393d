//! What a client is told when something fails.

use chronolith_types::SqlState;

/// How an error ends: the statement, or the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed.
    Error,
    /// The connection is over.
    Fatal,
    /// A message that is no failure, by its level.
    Notice(&'static str),
}

impl Severity {
    /// PostgreSQL's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
            Self::Notice(level) => level,
        }
    }
}

/// The fields of an ErrorResponse or a NoticeResponse.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Failure {
    /// The SQLSTATE.
    pub code: SqlState,
    /// One line.
    pub message: String,
    /// More about what was found.
    pub detail: Option<String>,
    /// What to do.
    pub hint: Option<String>,
    /// Character of the statement's text, from 1.
    pub position: Option<u32>,
    /// Where it happened.
    pub context: Option<String>,
    /// The schema of what is named below.
    pub schema: Option<String>,
    /// The table concerned.
    pub table: Option<String>,
    /// The column concerned.
    pub column: Option<String>,
    /// The constraint concerned.
    pub constraint: Option<String>,
    /// The type concerned.
    pub datatype: Option<String>,
}

impl Failure {
    /// With a code and a message alone.
    pub fn new(code: SqlState, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            ..Self::default()
        }
    }

    /// 08P01: the client does not follow the protocol.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(SqlState::PROTOCOL_VIOLATION, message)
    }

    /// 57014: the client asked to stop.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::new(
            SqlState::QUERY_CANCELED,
            "canceling statement due to user request",
        )
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Why a server does not start or ends.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The address is taken or not ours.
    #[error("could not listen on \"{address}\"")]
    Listen {
        /// The address asked for.
        address: String,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration would expose the data, or cannot be read.
    #[error("{0}")]
    Refused(String),
    /// The certificate or its key.
    #[error("could not load TLS file \"{path}\": {reason}")]
    Tls {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
}
