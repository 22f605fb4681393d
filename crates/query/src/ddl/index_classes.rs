//! COLLATE and classes of operators of an index's keys: remembered for who reads the definition.

use chronolith_catalog::KeyMarks;
use chronolith_sql::{IndexKey, Name};
use chronolith_types::{SqlState, SqlType};

use crate::catalogs::{class_named, collation_named};
use crate::error::Error;

/// What is said of a key that goes without saying for no other.
pub(super) fn marks(key: &IndexKey, method: &str, ty: &SqlType) -> Result<KeyMarks, Error> {
    let collation = match &key.collation {
        Some(name) => collation(name, ty)?,
        None => None,
    };
    let class = match &key.class {
        Some(name) => class(name, method, ty)?,
        None => None,
    };
    Ok(KeyMarks { collation, class })
}

fn collation(name: &Name, ty: &SqlType) -> Result<Option<String>, Error> {
    if collation_named(name.name()).is_none() {
        return Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("collation \"{name}\" for encoding \"UTF8\" does not exist"),
        ));
    }
    if !ty.is_text() {
        return Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("collations are not supported by type {ty}"),
        ));
    }
    Ok(Some(name.name().to_owned()).filter(|name| name != "default"))
}

fn class(name: &Name, method: &str, ty: &SqlType) -> Result<Option<String>, Error> {
    match class_named(method, name.name(), ty) {
        None => Err(Error::new(
            SqlState::UNDEFINED_OBJECT,
            format!("operator class \"{name}\" does not exist for access method \"{method}\""),
        )),
        Some(Err(())) => Err(Error::new(
            SqlState::DATATYPE_MISMATCH,
            format!("operator class \"{name}\" does not accept data type {ty}"),
        )),
        // The class that is meant when none is named.
        Some(Ok((_, true))) => Ok(None),
        Some(Ok((_, false))) => Ok(Some(name.name().to_owned())),
    }
}
