//! What is committed under `drivers/` agrees with itself, on machines without a cross compiler too.

use xtask::drivers::{self, Options, Verdict};
use xtask::manifest::{Manifest, sha256};
use xtask::{Failure, root};

#[test]
fn committed_drivers_match_the_manifest() -> Result<(), Failure> {
    let folder = root().join("drivers");
    let manifest = Manifest::load(&folder)?;
    assert!(manifest.driver.len() >= 3, "the samples at least are bundled");
    assert_eq!(drivers::stale(&folder, &manifest)?, Vec::<String>::new());
    Ok(())
}

#[test]
fn a_changed_file_is_told() -> Result<(), Failure> {
    let folder = root().join("drivers");
    let mut manifest = Manifest::load(&folder)?;
    let listener = manifest.driver.get_mut("listener").expect("listener is bundled");
    listener.sha256 = sha256(b"something else");
    assert_eq!(drivers::stale(&folder, &manifest)?, ["`bin/listener.sys` is not what the manifest records"]);
    Ok(())
}

#[test]
fn the_manifest_survives_a_round_trip() -> Result<(), Failure> {
    let folder = root().join("drivers");
    let text = Manifest::load(&folder)?.to_text();
    assert_eq!(text.as_bytes(), xtask::read(&folder.join("MANIFEST.toml"))?);
    Ok(())
}

/// Builds in two folders: the bytes may depend on neither.
#[test]
fn builds_are_reproducible() -> Result<(), Failure> {
    if let Err(failure) = xtask::toolchain::Toolchain::find() {
        assert!(std::env::var_os("RINGBELL_REQUIRE_ALL").is_none(), "mingw-w64 is required here: {failure}");
        eprintln!("skipped: {failure}");
        return Ok(());
    }
    let base = std::env::temp_dir().join(format!("ringbell-xtask-{}", std::process::id()));
    let folders = [base.join("one"), base.join("another, longer one")];
    for folder in &folders {
        let verdict = drivers::run(&Options { out: Some(folder.clone()), update: false })?;
        assert_ne!(verdict, Verdict::Updated);
    }
    for name in Manifest::load(&root().join("drivers"))?.driver.keys() {
        let file = format!("{name}.sys");
        assert_eq!(xtask::read(&folders[0].join(&file))?, xtask::read(&folders[1].join(&file))?, "{file}");
    }
    let _ = std::fs::remove_dir_all(base);
    Ok(())
}
