//! Publications.

use std::sync::Arc;

use super::Applied;
use crate::error::CatalogError;
use crate::model::Database;
use crate::publication::Publication;

impl Database {
    /// The publication is there, or is another.
    pub(super) fn set_publication(&mut self, publication: &Publication) -> Applied {
        let taken = |known: &&Arc<Publication>| {
            known.name == publication.name && known.id != publication.id
        };
        if self.publications.values().find(taken).is_some() {
            return Err(CatalogError::PublicationExists(publication.name.clone()));
        }
        let known = Arc::new(publication.clone());
        self.publications.insert(publication.id, known);
        Ok(())
    }

    pub(super) fn drop_publication(&mut self, id: u32) -> Applied {
        match self.publications.remove(&id) {
            Some(_) => self.forget(id),
            None => Err(CatalogError::NoPublication(id.to_string())),
        }
    }
}
