#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use chronolith_types::{ColumnId, HypertableId, PartId, RoleId, SqlType};

use super::*;
use crate::table::{Hypertable, Part, PartFile};

const DB: DatabaseId = DatabaseId(5);
const PUBLIC: SchemaId = SchemaId(2200);
const T: TableId = TableId(20_000);

fn table(name: &str) -> Table {
    Table {
        id: T,
        schema: PUBLIC,
        name: name.to_owned(),
        owner: RoleId(10),
        columns: vec![Column {
            id: ColumnId(1),
            name: "time".to_owned(),
            ty: SqlType::Timestamptz,
            not_null: true,
            default: None,
            missing: None,
            comment: None,
        }],
        next_column: ColumnId(2),
        constraints: Vec::new(),
        indexes: Vec::new(),
        hypertable: None,
        chunks: BTreeMap::new(),
        comment: None,
        acl: None,
    }
}

fn create(name: &str) -> Change {
    Change::CreateTable {
        database: DB,
        table: Box::new(table(name)),
    }
}

fn hypertable() -> Change {
    Change::MakeHypertable {
        database: DB,
        table: T,
        hypertable: Hypertable {
            id: HypertableId(1),
            time: ColumnId(1),
            interval: 10,
            compression: None,
        },
    }
}

fn chunk(id: i32, start: i64) -> Change {
    Change::AddChunk {
        database: DB,
        table: T,
        chunk: ChunkId(id),
        oid: 21_000 + id.unsigned_abs(),
        range: start..start + 10,
        created_us: 0,
    }
}

fn part(id: u64) -> Arc<Part> {
    Arc::new(Part {
        id: PartId(id),
        rows: 1,
        times: Some((0, 0)),
        data: PartFile::default(),
        directory: PartFile::default(),
        deleted: Vec::new(),
    })
}

#[test]
fn a_refused_change_leaves_the_catalog_as_it_was() {
    let mut catalog = Catalog::default();
    catalog.apply(&create("t")).unwrap();
    catalog.apply(&hypertable()).unwrap();
    catalog.apply(&chunk(1, 0)).unwrap();
    let before = catalog.clone();
    let refused = [
        (create("t"), CatalogError::NumberInUse(T.0)),
        (hypertable(), CatalogError::AlreadyHypertable("t".into())),
        (chunk(2, 5), CatalogError::ChunkOverlap("t".into())),
        (
            Change::ReplaceParts {
                database: DB,
                table: T,
                chunk: ChunkId(1),
                removed: vec![PartId(9)],
                added: vec![part(3)],
                compressed: None,
            },
            CatalogError::WrongPart("9".into()),
        ),
        (
            Change::DropColumn {
                database: DB,
                table: T,
                column: ColumnId(7),
            },
            CatalogError::NoColumn {
                column: "7".into(),
                relation: "t".into(),
            },
        ),
        (
            Change::DropSchema {
                database: DB,
                id: PUBLIC,
            },
            CatalogError::SchemaInUse("public".into()),
        ),
    ];
    for (change, error) in refused {
        assert_eq!(catalog.apply(&change), Err(error));
        assert_eq!(catalog, before, "{change:?}");
    }
}

#[test]
fn parts_are_replaced_in_one_step_and_numbers_never_return() {
    let mut catalog = Catalog::default();
    for change in [create("t"), hypertable(), chunk(1, 0)] {
        catalog.apply(&change).unwrap();
    }
    let replace = |removed: &[u64], added: &[u64]| Change::ReplaceParts {
        database: DB,
        table: T,
        chunk: ChunkId(1),
        removed: removed.iter().copied().map(PartId).collect(),
        added: added.iter().copied().map(part).collect(),
        compressed: Some(true),
    };
    catalog.apply(&replace(&[], &[4, 5])).unwrap();
    catalog.apply(&replace(&[4, 5], &[6])).unwrap();
    assert_eq!(catalog.next_part, 7);
    assert_eq!(catalog.parts().count(), 1);
    assert!(
        catalog
            .table(DB, T)
            .unwrap()
            .chunk_at(9)
            .unwrap()
            .compressed
    );
    assert!(catalog.table(DB, T).unwrap().chunk_at(10).is_none());
    catalog
        .apply(&Change::DropTable {
            database: DB,
            id: T,
        })
        .unwrap();
    assert!(catalog.next_oid > 21_000);
    assert_eq!(catalog.databases[&DB].next_chunk, 2);
}

#[test]
fn changes_and_catalog_survive_their_serialised_form() {
    let mut catalog = Catalog::default();
    for change in [create("t"), hypertable(), chunk(1, 0)] {
        let text = serde_json::to_string(&change).unwrap();
        let read: Change = serde_json::from_str(&text).unwrap();
        assert_eq!(read, change);
        catalog.apply(&read).unwrap();
    }
    let bytes = crate::encode(&catalog, chronolith_types::Lsn(42)).unwrap();
    let checkpoint = crate::decode(&bytes).unwrap();
    assert_eq!(checkpoint.catalog, catalog);
    assert_eq!(checkpoint.lsn.0, 42);
    for offset in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[offset] ^= 4;
        assert!(crate::decode(&damaged).is_err(), "byte {offset}");
    }
    for length in 0..bytes.len() {
        assert!(crate::decode(&bytes[..length]).is_err());
    }
}

#[test]
fn the_documented_checkpoint_is_read() {
    let bytes: Vec<u8> = include_str!("../../../../fixtures/formats/manifest/v1.hex")
        .split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect();
    let checkpoint = crate::decode(&bytes).unwrap();
    assert_eq!(checkpoint.lsn.0, 7);
    assert_eq!(checkpoint.catalog, Catalog::default());
    // What is written today is read as the same, also where zstd packs it otherwise.
    let again = crate::encode(&checkpoint.catalog, checkpoint.lsn).unwrap();
    assert_eq!(crate::decode(&again).unwrap(), checkpoint);
}

#[test]
#[ignore = "writes the example of docs/formats/manifest.md"]
fn bless_the_documented_checkpoint() {
    let bytes = crate::encode(&Catalog::default(), chronolith_types::Lsn(7)).unwrap();
    let hex: Vec<String> = bytes
        .chunks(32)
        .map(|line| {
            line.iter()
                .map(|b| format!("{b:02x}"))
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../fixtures/formats/manifest/v1.hex"
    );
    std::fs::write(path, hex.join("\n") + "\n").unwrap();
}
