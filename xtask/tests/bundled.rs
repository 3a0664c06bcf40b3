//! What is committed under `drivers/` agrees with itself, on machines without a cross compiler too.

use xtask::drivers;
use xtask::manifest::{Manifest, sha256};
use xtask::toolchain::Toolchain;
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

/// Builds a few that differ most, in two folders: the bytes may depend on neither. (`drivers` itself compares all of them with what
/// is committed.)
#[test]
fn builds_are_reproducible() -> Result<(), Failure> {
    let toolchain = match Toolchain::find() {
        Ok(toolchain) => toolchain,
        Err(failure) => {
            assert!(
                std::env::var_os("RINGBELL_REQUIRE_ALL").is_none(),
                "mingw-w64 is required here: {failure}"
            );
            eprintln!("skipped: {failure}");
            return Ok(());
        }
    };
    let drivers = root().join("drivers");
    let mut sources = drivers::sources(&drivers)?;
    sources.retain(|name, _| {
        ["exports-pool", "habits-hal", "habits-relocations", "listener"].contains(&name.as_str())
    });
    assert_eq!(sources.len(), 4);

    let base = std::env::temp_dir().join(format!("ringbell-xtask-{}", std::process::id()));
    let folders = [base.join("one"), base.join("another, longer one")];
    for folder in &folders {
        std::fs::create_dir_all(folder).expect("a temporary folder");
        drivers::build(&toolchain, &drivers, &sources, folder)?;
    }
    for name in sources.keys() {
        let file = format!("{name}.sys");
        assert!(xtask::read(&folders[0].join(&file))? == xtask::read(&folders[1].join(&file))?, "{file}");
    }
    let _ = std::fs::remove_dir_all(base);
    Ok(())
}
