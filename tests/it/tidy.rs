//! What keeps the house in order: who may know whom, and maps that match the ground.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Bottom first: a crate may name only crates on earlier rows.
const ROWS: &[&[&str]] = &[
    &["types"],
    &["platform"],
    &["rollup", "wal", "chunk", "catalog"],
    &["sql", "engine"],
    &["query"],
    &["chronolith"],
    &["server", "monitor"],
    &["cli"],
];

/// Libraries that one crate alone may name.
const ONLY: &[(&str, &str)] = &[
    ("pgwire", "server"),
    ("datafusion", "query"),
    ("parquet", "chunk"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn row(name: &str) -> usize {
    ROWS.iter()
        .position(|row| row.contains(&name))
        .unwrap_or_else(|| panic!("crate \"{name}\" is on no row: give it one in tidy.rs"))
}

/// The crates' folder names.
fn crates() -> BTreeSet<String> {
    fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The dependencies of a manifest, those of tests included when `dev` is.
fn dependencies(name: &str, dev: bool) -> Vec<String> {
    let path = root().join("crates").join(name).join("Cargo.toml");
    let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let sections: &[&str] = if dev {
        &["dependencies", "build-dependencies", "dev-dependencies"]
    } else {
        &["dependencies", "build-dependencies"]
    };
    sections
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

/// Every file below `dir` whose name ends in `extension`.
fn files(dir: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") && !path.ends_with(".git") {
                files(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

#[test]
fn dependencies_point_downward() {
    for name in crates() {
        for dependency in dependencies(&name, false) {
            let Some(below) = dependency.strip_prefix("chronolith") else {
                continue;
            };
            let below = below.strip_prefix('-').unwrap_or("chronolith");
            assert!(
                row(below) < row(&name),
                "{name} may not depend on {below}, which is not below it"
            );
        }
    }
}

#[test]
fn packages_are_named_after_their_folders() {
    for name in crates() {
        let path = root().join("crates").join(&name).join("Cargo.toml");
        let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
        let package = manifest["package"]["name"].as_str().unwrap();
        let expected = match name.as_str() {
            "chronolith" => name.clone(),
            _ => format!("chronolith-{name}"),
        };
        assert_eq!(package, expected);
        assert_eq!(
            manifest["lints"]["workspace"].as_bool(),
            Some(true),
            "{name} does not take the workspace's lints"
        );
    }
}

#[test]
fn only_one_crate_names_each_big_library() {
    for name in crates() {
        for dependency in dependencies(&name, true) {
            for (library, owner) in ONLY {
                let named =
                    dependency == *library || dependency.starts_with(&format!("{library}-"));
                // Tests may read a cold part as any other program would.
                let own_tests =
                    *library == "parquet" && !dependencies(&name, false).contains(&dependency);
                assert!(
                    !named || name == *owner || own_tests,
                    "{name} names {library}, which only {owner} may"
                );
            }
        }
    }
}

#[test]
fn crates_open_with_what_they_do_and_hold_no_logic() {
    for name in crates() {
        let lib = root().join("crates").join(&name).join("src/lib.rs");
        let Ok(text) = fs::read_to_string(&lib) else {
            assert_eq!(name, "cli", "{} is missing", lib.display());
            continue;
        };
        assert!(
            text.starts_with("//! "),
            "{} does not open with what the crate does",
            lib.display()
        );
        assert!(
            !text.starts_with("//! Placeholder"),
            "{} is a placeholder",
            lib.display()
        );
        for line in text.lines() {
            assert!(
                !line.starts_with("fn ")
                    && !line.starts_with("pub fn ")
                    && !line.starts_with("impl"),
                "{} holds logic: {line}",
                lib.display()
            );
        }
    }
}

#[test]
fn architecture_has_a_section_for_each_crate_and_no_other() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let (_, rooms) = text
        .split_once("\n## The rooms\n")
        .expect("a chapter \"The rooms\"");
    let rooms = rooms.split("\n## ").next().unwrap();
    let sections: BTreeSet<String> = rooms
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(|line| line.trim().trim_matches('`').to_owned())
        .collect();
    assert_eq!(sections, crates());
}

#[test]
fn links_in_documents_lead_somewhere() {
    let mut documents = Vec::new();
    files(&root().join("docs"), "md", &mut documents);
    for name in ["README.md", "ARCHITECTURE.md", "COMPAT.md", "CHANGELOG.md"] {
        documents.push(root().join(name));
    }
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            let path = target.split('#').next().unwrap();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = document.parent().unwrap().join(path);
            assert!(
                target.exists(),
                "{} links to {path}, which is not there",
                document.display()
            );
        }
    }
}

#[test]
fn every_format_document_has_a_fixture() {
    let formats = root().join("docs/formats");
    let mut documents = Vec::new();
    files(&formats, "md", &mut documents);
    assert!(
        !documents.is_empty(),
        "no format is described in docs/formats"
    );
    for document in documents {
        let name = document.file_stem().unwrap().to_str().unwrap().to_owned();
        let fixtures = root().join("fixtures/formats").join(&name);
        let count = fs::read_dir(&fixtures).map(Iterator::count).unwrap_or(0);
        assert!(
            count > 0,
            "docs/formats/{name}.md has no fixture in {}",
            fixtures.display()
        );
    }
}

#[test]
fn decisions_are_numbered_without_gaps() {
    let mut numbers: Vec<u32> = fs::read_dir(root().join("docs/decisions"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.split('-').next().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    let last = u32::try_from(numbers.len()).unwrap();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
}

#[test]
fn no_source_names_a_place_on_one_machine() {
    let mut sources = Vec::new();
    for dir in ["crates", "tests", "benches"] {
        files(&root().join(dir), "rs", &mut sources);
        files(&root().join(dir), "toml", &mut sources);
    }
    // Spelled in halves, or this file would find itself.
    let places = [
        ["/wo", "rk/"],
        ["/ho", "me/"],
        ["/Us", "ers/"],
        ["/ro", "ot/"],
    ]
    .map(|p| p.concat());
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        for place in &places {
            assert!(!text.contains(place), "{} names {place}", source.display());
        }
    }
}

#[test]
fn no_unfinished_body_is_left() {
    let mut sources = Vec::new();
    files(&root().join("crates"), "rs", &mut sources);
    let marks = [["to", "do!("], ["unimpl", "emented!("]].map(|p| p.concat());
    for source in sources {
        let text = fs::read_to_string(&source).unwrap();
        for mark in &marks {
            assert!(!text.contains(mark), "{} holds {mark}", source.display());
        }
    }
}
