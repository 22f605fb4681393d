//! What can be locked, and how strongly.

use chronolith_types::{ChunkId, DatabaseId, PartId, TableId};

/// How a table or another object is locked: PostgreSQL's eight modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockMode {
    /// SELECT.
    AccessShare = 1,
    /// SELECT … FOR UPDATE and its kin.
    RowShare,
    /// INSERT, UPDATE, DELETE, COPY FROM, MERGE.
    RowExclusive,
    /// VACUUM, ANALYZE, CREATE INDEX CONCURRENTLY.
    ShareUpdateExclusive,
    /// CREATE INDEX; shared advisory locks.
    Share,
    /// CREATE TRIGGER, ADD FOREIGN KEY.
    ShareRowExclusive,
    /// REFRESH MATERIALIZED VIEW CONCURRENTLY; exclusive advisory locks.
    Exclusive,
    /// DROP, TRUNCATE, most of ALTER TABLE.
    AccessExclusive,
}

impl LockMode {
    /// All of them, the weakest first.
    pub const ALL: [Self; 8] = [
        Self::AccessShare,
        Self::RowShare,
        Self::RowExclusive,
        Self::ShareUpdateExclusive,
        Self::Share,
        Self::ShareRowExclusive,
        Self::Exclusive,
        Self::AccessExclusive,
    ];

    pub(super) const fn bit(self) -> u8 {
        1 << (self as u8 - 1)
    }

    /// The modes that nobody else may hold beside this one.
    pub(super) const fn conflicts(self) -> u8 {
        const AS: u8 = LockMode::AccessShare.bit();
        const RS: u8 = LockMode::RowShare.bit();
        const RX: u8 = LockMode::RowExclusive.bit();
        const SUX: u8 = LockMode::ShareUpdateExclusive.bit();
        const S: u8 = LockMode::Share.bit();
        const SRX: u8 = LockMode::ShareRowExclusive.bit();
        const X: u8 = LockMode::Exclusive.bit();
        const AX: u8 = LockMode::AccessExclusive.bit();
        match self {
            Self::AccessShare => AX,
            Self::RowShare => X | AX,
            Self::RowExclusive => S | SRX | X | AX,
            Self::ShareUpdateExclusive => SUX | S | SRX | X | AX,
            Self::Share => RX | SUX | SRX | X | AX,
            Self::ShareRowExclusive => RX | SUX | S | SRX | X | AX,
            Self::Exclusive => RS | RX | SUX | S | SRX | X | AX,
            Self::AccessExclusive => AS | RS | RX | SUX | S | SRX | X | AX,
        }
    }

    /// As `pg_locks` shows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AccessShare => "AccessShareLock",
            Self::RowShare => "RowShareLock",
            Self::RowExclusive => "RowExclusiveLock",
            Self::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            Self::Share => "ShareLock",
            Self::ShareRowExclusive => "ShareRowExclusiveLock",
            Self::Exclusive => "ExclusiveLock",
            Self::AccessExclusive => "AccessExclusiveLock",
        }
    }
}

/// How a row is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RowMode {
    /// FOR KEY SHARE, and a foreign key's check: the key stays.
    KeyShare,
    /// FOR SHARE: the row stays.
    Share,
    /// FOR NO KEY UPDATE.
    NoKeyUpdate,
    /// FOR UPDATE.
    Update,
    /// An UPDATE that leaves keys alone: the same as [`RowMode::NoKeyUpdate`], and the row is another
    /// once the transaction ends.
    Changed,
    /// DELETE, and an UPDATE of a key: the same as [`RowMode::Update`], and the row goes.
    Gone,
    /// Nobody is about to change the row. It is waited for and never held.
    Settled,
}

impl RowMode {
    /// Whether two transactions cannot hold these on one row.
    #[must_use]
    pub const fn conflicts(self, other: Self) -> bool {
        match self {
            Self::KeyShare => matches!(other, Self::Update | Self::Gone),
            Self::Share => !matches!(other, Self::KeyShare | Self::Share | Self::Settled),
            Self::NoKeyUpdate => !matches!(other, Self::KeyShare | Self::Settled),
            Self::Changed => !matches!(other, Self::KeyShare),
            Self::Update => !matches!(other, Self::Settled),
            Self::Gone => true,
            Self::Settled => matches!(other, Self::Changed | Self::Gone),
        }
    }
}

/// What is locked as a whole, by a [`LockMode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockTarget {
    /// A table, view or sequence.
    Table {
        /// Where.
        database: DatabaseId,
        /// Which.
        table: TableId,
    },
    /// Anything else that has an oid.
    Object {
        /// Where; 0 for what all databases share.
        database: DatabaseId,
        /// The system catalog that lists it.
        class: u32,
        /// Which.
        object: u32,
    },
    /// A number that clients agree upon.
    Advisory {
        /// Where: databases have numbers of their own.
        database: DatabaseId,
        /// The upper half of a bigint, or the first of two integers.
        class: u32,
        /// The lower half, or the second.
        object: u32,
        /// 1 for a bigint, 2 for two integers: they never meet.
        kind: u16,
    },
}

/// Where rows have numbers of their own: a cold part, or the rows of a chunk that are in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowSpace {
    /// The database.
    pub database: DatabaseId,
    /// The table.
    pub table: TableId,
    /// The chunk.
    pub chunk: ChunkId,
    /// The cold part; none for rows in memory.
    pub part: Option<PartId>,
}

/// Where keys are unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeySpace {
    /// The database.
    pub database: DatabaseId,
    /// The table.
    pub table: TableId,
    /// The constraint or index.
    pub constraint: u32,
}
