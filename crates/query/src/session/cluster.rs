//! CLUSTER: a table and an index that have to be there. Parts are sorted by series and time whenever
//! they are packed, whatever indexes there are.

use std::sync::Arc;

use chronolith_catalog::Table;
use chronolith_sql::{Name, Spelled};
use chronolith_types::SqlState;

use super::shared::Shared;
use crate::error::Error;
use crate::insert::undefined_table;

impl Shared {
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
