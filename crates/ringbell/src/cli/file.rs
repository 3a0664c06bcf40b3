//! Reading driver files and logs.

use std::path::{Path, PathBuf};

use image::{Image, ImageError};
use ringbell::scenario;

use super::Failure;
use super::failure::printable;

/// Spells a path for people.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Longest driver file taken: that of the longest image.
const LONGEST: u64 = image::MAX_IMAGE_SIZE as u64;

/// Reads a driver file. It may be a pipe; one without an end is refused.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    Ok(scenario::read_limited(path, LONGEST, "give a Windows x64 driver, a `.sys` file")?)
}

/// Reads the log of a debugger, under the same conditions; a thousand boots are shorter.
pub(super) fn read_log(path: &Path) -> Result<Vec<u8>, Failure> {
    Ok(scenario::read_limited(path, LONGEST, "give the log of a debugger, a text file")?)
}

/// Parses a driver file, or says why it is none.
pub(super) fn parse<'a>(path: &Path, bytes: &'a [u8]) -> Result<Image<'a>, Failure> {
    Image::parse(bytes).map_err(|error| refused(path, &error))
}

/// Turns the refusal of an image into words that name the file.
pub(super) fn refused(path: &Path, error: &ImageError) -> Failure {
    Failure::new(format!("`{}`: {error}", shown(path))).hint(error.hint())
}

/// Replaces folders by the `.sys` files in them, by name.
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| scenario::unreadable(path, &error))?;
        let mut found = Vec::new();
        for entry in entries {
            let file = entry.map_err(|error| scenario::unreadable(path, &error))?.path();
            if file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sys")) {
                found.push(file);
            }
        }
        if found.is_empty() {
            return Err(Failure::new(format!("the folder `{}` holds no `.sys` file", shown(path)))
                .hint("folders are not searched in depth; name the files"));
        }
        found.sort();
        files.append(&mut found);
    }
    Ok(files)
}
