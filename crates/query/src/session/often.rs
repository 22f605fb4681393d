//! What each statement asks of the settings: looked up when a setting has changed.

use chronolith_types::TimeZone;

use super::modes::Modes;
use super::shared::State;

/// Values of settings that are asked for with each statement.
#[derive(Debug, Default)]
pub(crate) struct Often {
    /// The settings' revision that they are of.
    revision: Option<u64>,
    pub(crate) time_zone: String,
    pub(crate) zone: TimeZone,
    pub(crate) row_security: bool,
    /// What a transaction has that says nothing of it, and whether SHOW says so already.
    pub(super) modes: Modes,
    pub(super) shown: bool,
}

impl State {
    /// They as the settings have them.
    pub(crate) fn often(&mut self) -> &Often {
        let revision = Some(self.settings.revision());
        if self.often.revision != revision {
            let settings = &self.settings;
            let time_zone = settings.get("timezone").unwrap_or("UTC").to_owned();
            let modes = Modes::of(settings);
            self.often = Often {
                revision,
                zone: TimeZone::parse(&time_zone).unwrap_or_default(),
                time_zone,
                row_security: settings.get("row_security") != Some("off"),
                shown: modes.are_shown(settings),
                modes,
            };
        }
        &self.often
    }
}
