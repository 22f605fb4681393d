//! CLUSTER, VACUUM, ANALYZE and REINDEX: what they name has to be there. Parts are sorted by series and
//! time whenever they are packed, whatever indexes there are, and nothing else is in disorder.

use std::sync::Arc;

use chronolith_catalog::Table;
use chronolith_sql::{Name, Spelled};
use chronolith_types::SqlState;

use super::names::SessionNames;
use super::shared::Shared;
use crate::bind::Names;
use crate::error::Error;
use crate::insert::undefined_table;

impl Shared {
    /// What REINDEX TABLE names is there and the current role's.
    ///
    /// # Errors
    /// 42P01, 3F000, 42501.
    pub(crate) fn check_reindex(self: &Arc<Self>, name: Option<&Name>) -> Result<(), Error> {
        let Some(name) = name else {
            return Ok(());
        };
        let found = self.find_table(name.schema(), name.name())?;
        let table = found.ok_or_else(|| undefined_table(name.schema(), name.name()))?;
        self.check_owner(table.id)
    }

    /// What VACUUM and ANALYZE name is there.
    ///
    /// # Errors
    /// 42P01, 3F000.
    pub(crate) fn check_there(self: &Arc<Self>, tables: &[Name]) -> Result<(), Error> {
        let names = SessionNames::new(self)?;
        for table in tables {
            if names.relation(table.schema(), table.name())?.is_none() {
                return Err(undefined_table(table.schema(), table.name()));
            }
        }
        Ok(())
    }

    /// What CLUSTER names is there and the current role's.
    ///
    /// # Errors
    /// 42P01, 42704, 42501.
    pub(crate) fn check_cluster(
        self: &Arc<Self>,
        name: Option<&Name>,
        index: Option<&Spelled>,
    ) -> Result<(), Error> {
        let Some(name) = name else {
            return Ok(());
        };
        let found = self.find_table(name.schema(), name.name())?;
        let table = found.ok_or_else(|| undefined_table(name.schema(), name.name()))?;
        self.check_owner(table.id)?;
        match index {
            Some(index) => clustered(&table, &index.value),
            None => Err(Error::new(
                SqlState::UNDEFINED_OBJECT,
                format!(
                    "there is no previously clustered index for table \"{}\"",
                    table.name
                ),
            )),
        }
    }
}

/// An index that CLUSTER may name.
///
/// # Errors
/// 42704 when the table has none of the name.
pub(crate) fn clustered(table: &Table, index: &str) -> Result<(), Error> {
    if table.indexes.iter().any(|known| known.name == index) {
        return Ok(());
    }
    Err(Error::new(
        SqlState::UNDEFINED_OBJECT,
        format!(
            "index \"{index}\" for table \"{}\" does not exist",
            table.name
        ),
    ))
}
