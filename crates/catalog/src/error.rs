//! Why a change does not fit.

use chronolith_types::{JobId, SqlState};

/// A change that was refused; the catalog is as before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// The database is not there.
    #[error("database \"{0}\" does not exist")]
    NoDatabase(String),
    /// A database of that name is there.
    #[error("database \"{0}\" already exists")]
    DatabaseExists(String),
    /// The schema is not there.
    #[error("schema \"{0}\" does not exist")]
    NoSchema(String),
    /// A schema of that name is there.
    #[error("schema \"{0}\" already exists")]
    SchemaExists(String),
    /// The schema holds something.
    #[error("cannot drop schema {0} because other objects depend on it")]
    SchemaInUse(String),
    /// The relation is not there.
    #[error("relation \"{0}\" does not exist")]
    NoRelation(String),
    /// A relation of that name is there.
    #[error("relation \"{0}\" already exists")]
    RelationExists(String),
    /// Something is computed from the relation's rows.
    #[error("cannot drop table {0} because other objects depend on it")]
    RelationInUse(String),
    /// The relation keeps no continuous aggregate.
    #[error("table \"{0}\" is not the store of a continuous aggregate")]
    NotStore(String),
    /// The job is not there.
    #[error("job {0} not found")]
    NoJob(JobId),
    /// The function or procedure is not there.
    #[error("function {0} does not exist")]
    NoRoutine(String),
    /// A function or procedure of that name and those arguments is there.
    #[error("function \"{0}\" already exists with same argument types")]
    RoutineExists(String),
    /// No publication of this oid.
    #[error("publication {0} does not exist")]
    NoPublication(String),
    /// The name of a publication is taken.
    #[error("publication \"{0}\" already exists")]
    PublicationExists(String),
    /// No extension of this oid.
    #[error("extension {0} does not exist")]
    NoExtension(String),
    /// The name of an extension is taken.
    #[error("extension \"{0}\" already exists")]
    ExtensionExists(String),
    /// The type is not there.
    #[error("type \"{0}\" does not exist")]
    NoType(String),
    /// A type of that name is there.
    #[error("type \"{0}\" already exists")]
    TypeExists(String),
    /// The column is not there.
    #[error("column \"{column}\" of relation \"{relation}\" does not exist")]
    NoColumn {
        /// The column.
        column: String,
        /// Its table.
        relation: String,
    },
    /// A column of that name is there.
    #[error("column \"{column}\" of relation \"{relation}\" already exists")]
    ColumnExists {
        /// The column.
        column: String,
        /// Its table.
        relation: String,
    },
    /// The constraint is not there.
    #[error("constraint \"{constraint}\" of relation \"{relation}\" does not exist")]
    NoConstraint {
        /// The constraint.
        constraint: String,
        /// Its table.
        relation: String,
    },
    /// A constraint of that name is there.
    #[error("constraint \"{constraint}\" for relation \"{relation}\" already exists")]
    ConstraintExists {
        /// The constraint.
        constraint: String,
        /// Its table.
        relation: String,
    },
    /// The table is a hypertable already.
    #[error("table \"{0}\" is already a hypertable")]
    AlreadyHypertable(String),
    /// The table is none.
    #[error("table \"{0}\" is not a hypertable")]
    NotHypertable(String),
    /// The chunk is not there.
    #[error("chunk {0} does not exist")]
    NoChunk(String),
    /// The chunk's range meets another's.
    #[error("chunk range of relation \"{0}\" overlaps with an existing chunk")]
    ChunkOverlap(String),
    /// Chunks that are to become one do not follow upon each other.
    #[error("cannot merge non-adjacent chunks over supplied dimensions")]
    ChunksApart(String),
    /// A part has rows on both sides of where its chunk is to be cut.
    #[error("could not serialize access to relation \"{0}\" due to a concurrent change")]
    PartAcross(String),
    /// The part is not there, or is there twice.
    #[error("part {0} is not as the change expects")]
    WrongPart(String),
    /// The role is not there.
    #[error("role \"{0}\" does not exist")]
    NoRole(String),
    /// A role of that name is there.
    #[error("role \"{0}\" already exists")]
    RoleExists(String),
    /// A number would be given twice.
    #[error("object number {0} is in use")]
    NumberInUse(u32),
}

impl CatalogError {
    /// The SQLSTATE a client gets.
    #[must_use]
    pub fn sqlstate(&self) -> SqlState {
        match self {
            Self::NoDatabase(_) => SqlState::INVALID_CATALOG_NAME,
            Self::DatabaseExists(_) => SqlState::DUPLICATE_DATABASE,
            Self::NoSchema(_) => SqlState::INVALID_SCHEMA_NAME,
            Self::SchemaExists(_) => SqlState::DUPLICATE_SCHEMA,
            Self::SchemaInUse(_) | Self::RelationInUse(_) => {
                SqlState::DEPENDENT_OBJECTS_STILL_EXIST
            }
            Self::NoRelation(_) | Self::NoChunk(_) => SqlState::UNDEFINED_TABLE,
            Self::RelationExists(_) => SqlState::DUPLICATE_TABLE,
            Self::NoColumn { .. } => SqlState::UNDEFINED_COLUMN,
            Self::ColumnExists { .. } => SqlState::DUPLICATE_COLUMN,
            Self::AlreadyHypertable(_) => SqlState::HYPERTABLE_EXISTS,
            Self::NotHypertable(_) => SqlState::HYPERTABLE_NOT_EXIST,
            Self::NoRoutine(_) => SqlState::UNDEFINED_FUNCTION,
            Self::RoutineExists(_) => SqlState::DUPLICATE_FUNCTION,
            Self::NoPublication(_) | Self::NoExtension(_) => SqlState::UNDEFINED_OBJECT,
            Self::PublicationExists(_) | Self::ExtensionExists(_) => SqlState::DUPLICATE_OBJECT,
            Self::NoRole(_) | Self::NoType(_) | Self::NoJob(_) | Self::NoConstraint { .. } => {
                SqlState::UNDEFINED_OBJECT
            }
            Self::RoleExists(_) | Self::TypeExists(_) | Self::ConstraintExists { .. } => {
                SqlState::DUPLICATE_OBJECT
            }
            Self::ChunksApart(_) => SqlState::INVALID_PARAMETER_VALUE,
            Self::PartAcross(_) => SqlState::SERIALIZATION_FAILURE,
            Self::ChunkOverlap(_)
            | Self::WrongPart(_)
            | Self::NumberInUse(_)
            | Self::NotStore(_) => SqlState::INTERNAL_ERROR,
        }
    }
}
