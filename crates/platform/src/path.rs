//! Names of files below the data directory.

use std::fmt;

/// A path that cannot leave the data directory: parts of letters, digits, `.`, `_` and `-`, joined
/// by `/`, none of them `..`. The empty path is the directory itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RelPath(String);

/// Why a text is no path below the data directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a path below the data directory")]
pub struct PathError(pub String);

impl RelPath {
    /// A path from its text.
    ///
    /// # Errors
    /// When it is absolute, has an empty part or `.` or `..`, or any byte but the allowed ones.
    pub fn new(text: &str) -> Result<Self, PathError> {
        let part_ok = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
        };
        if text.is_empty() || text.split('/').all(part_ok) {
            Ok(Self(text.to_owned()))
        } else {
            Err(PathError(text.to_owned()))
        }
    }

    /// The data directory itself.
    #[must_use]
    pub fn root() -> Self {
        Self::default()
    }

    /// A file or directory in this directory.
    ///
    /// # Errors
    /// When `name` is no single allowed part.
    pub fn join(&self, name: &str) -> Result<Self, PathError> {
        if name.is_empty() || name.contains('/') {
            return Err(PathError(name.to_owned()));
        }
        let joined = if self.0.is_empty() {
            name.to_owned()
        } else {
            format!("{}/{name}", self.0)
        };
        Self::new(&joined)
    }

    /// The directory it lies in; the root's is the root.
    #[must_use]
    pub fn parent(&self) -> Self {
        match self.0.rfind('/') {
            Some(at) => Self(self.0.get(..at).unwrap_or_default().to_owned()),
            None => Self::default(),
        }
    }

    /// The last part.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn no_text_leads_out_of_the_directory() {
        for bad in [
            "..", "a/../b", "/etc", "a//b", "a/", ".", "a\0b", "a b", "ä", "a\\b",
        ] {
            assert!(RelPath::new(bad).is_err(), "{bad:?}");
        }
        let path = RelPath::new("wal/0000000001.log").unwrap();
        assert_eq!(path.parent().as_str(), "wal");
        assert_eq!(path.name(), "0000000001.log");
        assert_eq!(path.parent().parent(), RelPath::root());
        assert!(RelPath::root().join("a/b").is_err());
    }
}
