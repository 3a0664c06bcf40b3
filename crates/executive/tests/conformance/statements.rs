//! Every statement has a test that exists, or a reason.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::misuse::{Ends, ROWS};

#[derive(Deserialize)]
struct File {
    statement: Vec<Statement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    number: usize,
    section: String,
    profiles: Vec<String>,
    given: String,
    when: String,
    then: String,
    evidence: Vec<String>,
    test: Option<String>,
    reason: Option<String>,
}

/// Names of the functions behind `#[test]` in the sources of this test.
fn tests_in_sources() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("a directory entry").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a readable source");
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line != "#[test]" {
                continue;
            }
            let function =
                lines.find_map(|line| line.strip_prefix("fn ")).expect("a function behind `#[test]`");
            let name = function.split('(').next().expect("a name");
            assert!(names.insert(name.to_owned()), "two tests are called {name}");
        }
    }
    names
}

fn statements() -> File {
    toml::from_str(include_str!("statements.toml")).expect("statements.toml can be read")
}

/// The chapter of the book that shows the statements.
fn chapter(statements: &[Statement]) -> String {
    let held = statements.iter().filter(|statement| statement.test.is_some()).count();
    let mut text = format!(
        "# What is held to be true\n\n\
         The mechanism as {} statements. {held} are held by a test of the executive, on every version profile they concern and on both protocols \
         between notify and unregister; of each other one the table says what holds it. *modern* is Windows 8.1 and later, *legacy* what came \
         before.\n\n\
         This page is written by a test: `BLESS=1 cargo test -p ringbell-executive --test conformance statements`.\n",
        statements.len(),
    );
    let mut section = "";
    for statement in statements {
        if statement.section != section {
            section = &statement.section;
            let mut title = section.to_owned();
            title[..1].make_ascii_uppercase();
            let heading =
                "| | profiles | given | when | then | evidence | held by |\n|---|---|---|---|---|---|---|";
            _ = writeln!(text, "\n## {title}\n\n{heading}");
        }
        let by = statement.test.as_ref().map(|test| format!("`{test}`")).or_else(|| statement.reason.clone());
        let cell = |text: &str| text.replace('|', "\\|");
        _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            statement.number,
            statement.profiles.join(", "),
            cell(&statement.given),
            cell(&statement.when),
            cell(&statement.then),
            statement.evidence.join("; "),
            cell(&by.unwrap_or_default()),
        );
    }
    text
}

#[test]
fn the_book_shows_the_statements() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/conformance.md");
    let chapter = chapter(&statements().statement);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &chapter).expect("the chapter can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == chapter,
        "docs/src/conformance.md is not what the statements say; BLESS=1 rewrites it"
    );
}

/// The chapter of the book that shows the table of misuse.
fn misuse_chapter() -> String {
    let mut text = format!(
        "# Doing it wrong\n\n\
         {} ways to misuse callback objects, and how each ends: in the bugcheck that Windows shows, in a wait that never ends, or not at \
         all. Each is a test of the executive, on the versions named and on both protocols between notify and unregister; test and page are \
         of one table. A first parameter is given where it is sure. What a driver does wrong with memory of its own (pool, pageable code, \
         addresses that are gone) is the machine's business and not in this table.\n\n\
         This page is written by a test: `BLESS=1 cargo test -p ringbell-executive --test conformance statements`.\n\n\
         | what is done | versions | how it ends | evidence | held by |\n|---|---|---|---|---|\n",
        ROWS.len(),
    );
    for row in ROWS {
        let ends = match row.ends {
            Ends::Bugcheck(code, first) => {
                let name = nt::BugCheck(code).name().unwrap_or_default();
                let first = first.map(|first| format!(", first parameter {first:#X}")).unwrap_or_default();
                format!("bugcheck 0x{code:X} `{name}`{first}")
            }
            Ends::Hang(how) => format!("never: {how}"),
            Ends::GoesOn(how) => format!("it goes on: {how}"),
        };
        _ = writeln!(
            text,
            "| {} | {} | {ends} | {} | `{}` |",
            row.wrong, row.versions, row.evidence, row.test
        );
    }
    text
}

#[test]
fn the_book_shows_the_table_of_misuse() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/misuse.md");
    let chapter = misuse_chapter();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &chapter).expect("the chapter can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == chapter, "docs/src/misuse.md is not what the table says; BLESS=1 rewrites it");
}

#[test]
fn every_row_of_misuse_has_its_test() {
    let source = include_str!("misuse.rs");
    let tests: Vec<&str> =
        source.lines().filter_map(|line| line.strip_prefix("wrong!(")?.split(',').next()).collect();
    let rows: Vec<&str> = ROWS.iter().map(|row| row.test).collect();
    assert_eq!(tests, rows);
}

#[test]
fn every_statement_is_held() {
    let file = statements();
    let tests = tests_in_sources();
    assert_eq!(file.statement.len(), 118);
    let mut held = BTreeSet::new();
    for (index, statement) in file.statement.iter().enumerate() {
        let number = statement.number;
        assert_eq!(number, index + 1, "statements are in order");
        for text in [&statement.section, &statement.given, &statement.when, &statement.then] {
            assert!(!text.trim().is_empty(), "statement {number} is incomplete");
        }
        assert!(
            !statement.profiles.is_empty() && !statement.evidence.is_empty(),
            "statement {number} is incomplete"
        );
        match (&statement.test, &statement.reason) {
            (Some(test), None) => {
                assert!(test.starts_with(&format!("c{number:03}_")), "statement {number} names {test}");
                assert!(tests.contains(test), "statement {number} names a test that does not exist: {test}");
                held.insert(test.clone());
            }
            (None, Some(reason)) => assert!(reason.len() > 20, "statement {number} gives no real reason"),
            _ => panic!("statement {number} needs a test or a reason, and not both"),
        }
    }
    let numbered = |name: &&String| {
        let mut characters = name.chars();
        characters.next() == Some('c') && characters.next().is_some_and(|digit| digit.is_ascii_digit())
    };
    let strays: Vec<_> = tests.iter().filter(numbered).filter(|name| !held.contains(*name)).collect();
    assert!(strays.is_empty(), "tests that no statement names: {strays:?}");
}
