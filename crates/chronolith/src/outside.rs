//! The files of an administrator: those of the data directory, and others by their whole path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chronolith_platform::{Platform, RelPath, write_whole};
use chronolith_query::outside::Outside;
use chronolith_query::settings::Conf;

/// Reads and writes them.
#[derive(Debug)]
pub(crate) struct Files {
    directory: PathBuf,
    platform: Platform,
}

impl Files {
    pub(crate) fn new(directory: &Path, platform: Platform) -> Self {
        let directory = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        Self {
            directory,
            platform,
        }
    }

    fn whole(&self, file: &str) -> PathBuf {
        // A whole path replaces what it is joined to.
        self.directory.join(file)
    }
}

/// What `postgresql.conf` and `postgresql.auto.conf` of a data directory say, by lower-case name; for
/// settings that count before it is opened. What is wrong in them is told when it is.
pub fn file_settings(directory: impl AsRef<Path>) -> Vec<(String, String)> {
    let Ok(platform) = Platform::real(directory.as_ref()) else {
        return Vec::new();
    };
    let conf = Conf::read(&Files::new(directory.as_ref(), platform));
    let all = conf.values();
    all.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

impl Outside for Files {
    fn path(&self, file: &str) -> String {
        self.whole(file).display().to_string()
    }

    fn read(&self, file: &str) -> io::Result<String> {
        fs::read_to_string(self.whole(file))
    }

    fn write(&self, file: &str, text: &str) -> io::Result<()> {
        let path = RelPath::new(file).map_err(io::Error::other)?;
        write_whole(&*self.platform.disk, &path, text.as_bytes())
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.whole(directory))? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }
}
