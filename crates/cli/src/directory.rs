//! Opening data directories as the command line asks for it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use chronolith::Config;

use crate::args::SettingArgs;

/// Refuses a directory that holds no database, where a command is to look and not to make one.
pub(crate) fn must_exist(dir: &Path) -> Result<()> {
    if !dir.is_dir() {
        bail!(
            "there is no data directory at {}: `chronolith serve --data-dir {0}` makes one",
            dir.display()
        );
    }
    if fs::read_dir(dir)
        .with_context(|| format!("could not read {}", dir.display()))?
        .next()
        .is_none()
    {
        bail!("{} is empty, so it is no data directory", dir.display());
    }
    Ok(())
}

/// The settings of a file, over which those of the command line go.
pub(crate) fn table(settings: &SettingArgs) -> Result<toml::Table> {
    match &settings.config {
        None => Ok(toml::Table::new()),
        Some(path) => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("could not read {}", path.display()))?;
            text.parse()
                .with_context(|| format!("{} is not TOML", path.display()))
        }
    }
}

/// The database's part of the settings.
pub(crate) fn config(table: &toml::Table, set: &[(String, String)]) -> Result<Config> {
    let mut config = Config::default();
    config.set_toml(&table.to_string())?;
    for (name, value) in set {
        config.set(name, value)?;
    }
    Ok(config)
}
