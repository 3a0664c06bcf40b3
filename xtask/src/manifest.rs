//! `drivers/MANIFEST.toml`: which drivers are bundled, from which sources, with which bytes, built by what.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::toolchain::Versions;
use crate::{Failure, read};

/// Holds the whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the committed `.sys` files were built with.
    pub toolchain: Versions,
    /// The hash of each file that every driver is built from, by path relative to `drivers/`.
    pub shared: BTreeMap<String, String>,
    /// One entry per driver, by name.
    pub driver: BTreeMap<String, Driver>,
}

/// Holds what is known about one bundled driver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// The C file, relative to `drivers/`.
    pub source: String,
    /// The hash of the C file.
    pub source_sha256: String,
    /// The hash of `bin/NAME.sys`.
    pub sha256: String,
}

impl Manifest {
    /// Reads the manifest of a `drivers/` folder.
    ///
    /// # Errors
    /// When the file is missing or is not a manifest.
    pub fn load(drivers: &Path) -> Result<Self, Failure> {
        let path = drivers.join("MANIFEST.toml");
        let bytes = read(&path)?;
        let text = String::from_utf8_lossy(&bytes);
        toml::from_str(&text).map_err(|error| {
            Failure::new(format!("`{}` is not a manifest: {error}", path.display()))
                .hint("it is generated: run `cargo run -p xtask -- drivers --update`")
        })
    }

    /// Returns the file's text, in one fixed order.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# Written by `cargo run -p xtask -- drivers --update`. Hashes are SHA-256; paths are relative to this folder.\n\n",
        );
        let Versions { gcc, ld, mingw } = &self.toolchain;
        let _ = write!(text, "[toolchain]\ngcc = {gcc:?}\nld = {ld:?}\nmingw = {mingw:?}\n\n[shared]\n");
        for (path, hash) in &self.shared {
            let _ = writeln!(text, "{path:?} = {hash:?}");
        }
        for (name, driver) in &self.driver {
            let Driver { source, source_sha256, sha256 } = driver;
            let _ = write!(
                text,
                "\n[driver.{name}]\nsource = {source:?}\nsource_sha256 = {source_sha256:?}\nsha256 = {sha256:?}\n"
            );
        }
        text
    }
}

/// Returns the SHA-256 of `bytes` in lowercase hex.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
