//! Files of an administrator, which lie beside those of the database: rules and settings.

use std::fmt::Debug;
use std::io;

/// The way to them. A path that does not begin with a slash is one of the data directory's.
pub trait Outside: Debug + Send + Sync {
    /// The whole path of a file, as messages name it.
    fn path(&self, file: &str) -> String;

    /// A file's text.
    ///
    /// # Errors
    /// As the file system gives them.
    fn read(&self, file: &str) -> io::Result<String>;

    /// Writes a file so that after a crash it has its old content or the new.
    ///
    /// # Errors
    /// As the file system gives them.
    fn write(&self, file: &str, text: &str) -> io::Result<()>;

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// As the file system gives them.
    fn list(&self, directory: &str) -> io::Result<Vec<String>>;
}
