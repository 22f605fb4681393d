//! Extensions.

use std::sync::Arc;

use super::Applied;
use crate::error::CatalogError;
use crate::extension::Extension;
use crate::model::Database;

impl Database {
    /// The extension is there, or is another.
    pub(super) fn set_extension(&mut self, extension: &Extension) -> Applied {
        let taken =
            |known: &&Arc<Extension>| known.name == extension.name && known.id != extension.id;
        if self.extensions.values().find(taken).is_some() {
            return Err(CatalogError::ExtensionExists(extension.name.clone()));
        }
        let known = Arc::new(extension.clone());
        self.extensions.insert(extension.id, known);
        Ok(())
    }

    pub(super) fn drop_extension(&mut self, id: u32) -> Applied {
        match self.extensions.remove(&id) {
            Some(_) => self.forget(id),
            None => Err(CatalogError::NoExtension(id.to_string())),
        }
    }
}
