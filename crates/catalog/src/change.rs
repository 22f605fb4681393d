//! The changes there are; the log carries them as JSON.

use std::ops::Range;
use std::sync::Arc;

use chronolith_types::{
    ChunkId, ColumnId, DatabaseId, IndexId, PartId, RoleId, RoutineId, SchemaId, TableId, TypeId,
    UserType,
};
use serde::{Deserialize, Serialize};

use crate::acl::{Acl, DefaultAcl};
use crate::arrival::ArrivalChange;
use crate::comment::Comment;
use crate::extension::Extension;
use crate::job::JobChange;
use crate::model::{Role, Schema, View};
use crate::publication::Publication;
use crate::rollup::Rollup;
use crate::routine::Routine;
use crate::rows::RowBits;
use crate::sequence::Sequence;
use crate::table::{Column, Compression, Constraint, Hypertable, Index, Part, Persistence, Table};
use crate::trigger::Trigger;
use crate::types::Type;

/// One change of the catalog.
///
/// Variants and fields are only ever added: a log written by any release replays for ever.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "each variant is the statement of its name")]
pub enum Change {
    CreateDatabase {
        id: DatabaseId,
        name: String,
        owner: RoleId,
    },
    DropDatabase {
        id: DatabaseId,
    },
    SetDatabaseSetting {
        id: DatabaseId,
        name: String,
        value: Option<String>,
    },
    RenameDatabase {
        id: DatabaseId,
        name: String,
    },
    SetDatabaseOwner {
        id: DatabaseId,
        owner: RoleId,
    },
    CreateSchema {
        database: DatabaseId,
        schema: Schema,
    },
    DropSchema {
        database: DatabaseId,
        id: SchemaId,
    },
    /// The same schema with another name or owner.
    ChangeSchema {
        database: DatabaseId,
        schema: Schema,
    },
    CreateTable {
        database: DatabaseId,
        table: Box<Table>,
    },
    DropTable {
        database: DatabaseId,
        id: TableId,
    },
    RenameTable {
        database: DatabaseId,
        id: TableId,
        name: String,
    },
    /// Its indexes go with it.
    SetTableSchema {
        database: DatabaseId,
        id: TableId,
        schema: SchemaId,
    },
    SetTableOwner {
        database: DatabaseId,
        id: TableId,
        owner: RoleId,
    },
    /// What is granted on the thing of an oid: a relation, schema, routine or the database itself.
    SetAcl {
        database: DatabaseId,
        oid: u32,
        acl: Option<Acl>,
    },
    /// What is granted on a column of a relation, by its attribute number.
    SetColumnAcl {
        database: DatabaseId,
        oid: u32,
        column: u32,
        acl: Option<Acl>,
    },
    /// What ALTER DEFAULT PRIVILEGES says, all of it.
    SetDefaultAcls {
        database: DatabaseId,
        acls: Vec<DefaultAcl>,
    },
    /// Rows of a cold part are deleted, by their places in its file.
    DeleteRows {
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
        part: PartId,
        rows: RowBits,
    },
    /// All its rows go; a hypertable's chunks too.
    Truncate {
        database: DatabaseId,
        table: TableId,
    },
    CreateView {
        database: DatabaseId,
        view: View,
        replace: bool,
    },
    DropView {
        database: DatabaseId,
        id: TableId,
    },
    /// The same view with another name, schema or owner.
    ChangeView {
        database: DatabaseId,
        view: View,
    },
    AddColumn {
        database: DatabaseId,
        table: TableId,
        column: Column,
    },
    DropColumn {
        database: DatabaseId,
        table: TableId,
        column: ColumnId,
    },
    /// The same column with another name, default, nullability or type.
    ChangeColumn {
        database: DatabaseId,
        table: TableId,
        column: Column,
    },
    AddConstraint {
        database: DatabaseId,
        table: TableId,
        constraint: Constraint,
    },
    DropConstraint {
        database: DatabaseId,
        table: TableId,
        name: String,
    },
    /// The index that it is kept by gets the name too.
    RenameConstraint {
        database: DatabaseId,
        table: TableId,
        from: String,
        name: String,
    },
    CreateIndex {
        database: DatabaseId,
        table: TableId,
        index: Index,
    },
    DropIndex {
        database: DatabaseId,
        table: TableId,
        id: IndexId,
    },
    /// The constraint that it keeps gets the name too.
    RenameIndex {
        database: DatabaseId,
        table: TableId,
        id: IndexId,
        name: String,
    },
    MakeHypertable {
        database: DatabaseId,
        table: TableId,
        hypertable: Hypertable,
    },
    SetCompression {
        database: DatabaseId,
        table: TableId,
        compression: Option<Compression>,
    },
    SetChunkInterval {
        database: DatabaseId,
        table: TableId,
        interval: i64,
    },
    AddChunk {
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
        oid: u32,
        range: Range<i64>,
        created_us: i64,
    },
    DropChunk {
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
    },
    /// A chunk whose rows go on elsewhere: what was computed from them is wrong from now on, where
    /// [`Change::DropChunk`] lets it stay.
    DetachChunk {
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
    },
    /// Chunks whose ranges follow upon each other become one, the first that is named.
    MergeChunks {
        database: DatabaseId,
        table: TableId,
        chunks: Vec<ChunkId>,
    },
    /// A chunk keeps what lies before `at`; the rest is a chunk of its own. No part lies across.
    SplitChunk {
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
        at: i64,
        new: ChunkId,
        oid: u32,
        created_us: i64,
    },
    /// The same hypertable with other dimensions, tablespaces or columns to skip chunks by.
    ChangeHypertable {
        database: DatabaseId,
        table: TableId,
        hypertable: Hypertable,
    },
    /// Parts go and come in one step: flush, load, merge and delete vectors alike. Those that come
    /// are where the first that goes was, or behind all.
    ReplaceParts {
        database: DatabaseId,
        table: TableId,
        chunk: ChunkId,
        removed: Vec<PartId>,
        added: Vec<Arc<Part>>,
        compressed: Option<bool>,
    },
    /// Makes a hypertable the store of a continuous aggregate, or no such store any more.
    SetRollup {
        database: DatabaseId,
        table: TableId,
        rollup: Option<Rollup>,
    },
    /// Rows of a store within a range of times are not what its source gives, but for what is
    /// frozen.
    Invalidate {
        database: DatabaseId,
        table: TableId,
        range: Range<i64>,
    },
    /// They are again, but for what was marked since: marks from the number `upto` on stay.
    Revalidate {
        database: DatabaseId,
        table: TableId,
        range: Range<i64>,
        upto: u64,
    },
    /// Rows of a store's source are gone within a range of times: its own stay as they are.
    Freeze {
        database: DatabaseId,
        table: TableId,
        range: Range<i64>,
    },
    CreateRole {
        role: Role,
    },
    ChangeRole {
        role: Role,
    },
    DropRole {
        id: RoleId,
    },
    SetSetting {
        name: String,
        value: Option<String>,
    },
    Comment {
        database: DatabaseId,
        table: TableId,
        column: Option<ColumnId>,
        text: Option<String>,
    },
    CreateType {
        database: DatabaseId,
        ty: Box<Type>,
    },
    /// The same type with another name, schema, owner or body; what is declared with it follows.
    ChangeType {
        database: DatabaseId,
        ty: Box<Type>,
    },
    DropType {
        database: DatabaseId,
        id: TypeId,
    },
    /// The rows of a relation as they are now: what is declared with them follows.
    ChangeRows {
        database: DatabaseId,
        ty: Arc<UserType>,
    },
    /// A comment on anything else, in the place of the one before; an empty text takes it away.
    SetComment {
        database: DatabaseId,
        comment: Comment,
    },
    /// Something about jobs.
    Job {
        database: DatabaseId,
        change: JobChange,
    },
    /// The triggers of a table are others.
    SetTriggers {
        /// Its database.
        database: DatabaseId,
        /// Its table.
        table: TableId,
        /// Those that it has from now on.
        triggers: Vec<Trigger>,
    },
    /// Row-level security of a table is this from now on.
    SetRowSecurity {
        /// Its database.
        database: DatabaseId,
        /// Its table.
        table: TableId,
        /// What holds.
        security: Box<crate::policy::RowSecurity>,
    },
    /// CREATE PUBLICATION, and ALTER PUBLICATION: the whole of it as it is from now on.
    SetPublication {
        /// Its database.
        database: DatabaseId,
        /// The publication.
        publication: Box<Publication>,
    },
    /// DROP PUBLICATION.
    DropPublication {
        /// Its database.
        database: DatabaseId,
        /// Its oid.
        id: u32,
    },
    /// CREATE EXTENSION.
    SetExtension {
        /// Its database.
        database: DatabaseId,
        /// The extension.
        extension: Box<Extension>,
    },
    /// DROP EXTENSION; its views are dropped by themselves.
    DropExtension {
        /// Its database.
        database: DatabaseId,
        /// Its oid.
        id: u32,
    },
    /// CREATE [OR REPLACE] FUNCTION and PROCEDURE.
    CreateRoutine {
        database: DatabaseId,
        routine: Box<Routine>,
        replace: bool,
    },
    DropRoutine {
        database: DatabaseId,
        id: RoutineId,
    },
    CreateSequence {
        database: DatabaseId,
        sequence: Box<Sequence>,
    },
    /// The same sequence with other properties; one with another count begins anew.
    ChangeSequence {
        database: DatabaseId,
        sequence: Box<Sequence>,
    },
    /// Numbers of a sequence's count up to this one may have been given.
    AdvanceSequence {
        database: DatabaseId,
        id: TableId,
        count: u32,
        last: i64,
        called: bool,
    },
    DropSequence {
        database: DatabaseId,
        id: TableId,
    },
    /// What tells the time of a hypertable whose times are whole numbers.
    SetIntegerNow {
        database: DatabaseId,
        table: TableId,
        function: Option<(String, String)>,
    },
    /// How long a table is to last.
    SetPersistence {
        database: DatabaseId,
        table: TableId,
        persistence: Persistence,
    },
    /// More has come of a dump of TimescaleDB's.
    Arrival {
        database: DatabaseId,
        change: ArrivalChange,
    },
    /// Numbers are in use up to these, though what had them may be gone.
    Reserve {
        next_oid: u32,
        next_part: u64,
    },
}
