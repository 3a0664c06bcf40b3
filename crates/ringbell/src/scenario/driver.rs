//! Driver files: read with a limit, refused before any machine is started where they are none.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Mistake;
use super::mistake::printable;
use crate::near;

/// Longest driver file taken: that of the longest image.
const LONGEST: u64 = image::MAX_IMAGE_SIZE as u64;

/// A driver to load: its name in the run, and its file.
#[derive(Clone, PartialEq, Eq)]
pub struct DriverImage {
    /// Its name in the run: the file name, with `#2` behind it for the second of that name.
    pub name: String,
    /// The file.
    pub image: Arc<[u8]>,
}

impl fmt::Debug for DriverImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DriverImage").field("name", &self.name).field("bytes", &self.image.len()).finish()
    }
}

impl DriverImage {
    /// Makes one.
    pub fn new(name: impl Into<String>, image: impl Into<Arc<[u8]>>) -> Self {
        Self { name: name.into(), image: image.into() }
    }

    /// Reads a driver, and refuses what is none, or needs more than the kernel. A pipe may be read, something without an
    /// end may not. A file that is no plain one (`/dev/fd/63`) has no name of its own and is called `driver.sys`.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no driver that can be run.
    pub fn read(path: &Path) -> Result<Self, Mistake> {
        let bytes = read_limited(path, LONGEST, "give a Windows x64 driver, a `.sys` file")?;
        Self::check(path, &bytes)?;
        Ok(Self { name: name_of(path), image: bytes.into() })
    }

    /// Refuses what is no driver, or needs more than the kernel.
    pub(super) fn check(path: &Path, bytes: &[u8]) -> Result<(), Mistake> {
        image::Image::parse(bytes)
            .and_then(|image| image.imports())
            .and_then(|imports| image::require_kernel_imports(&imports))
            .map_err(|error| Mistake::new(format!("`{}`: {error}", shown(path)), error.hint()))
    }
}

/// Returns the name that a driver has in the run.
fn name_of(path: &Path) -> String {
    let plain = std::fs::metadata(path).is_ok_and(|facts| facts.is_file());
    match path.file_name().filter(|_| plain) {
        Some(name) => printable(&name.to_string_lossy()),
        None => "driver.sys".into(),
    }
}

/// Spells a path for people.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// Reads a file of at most `longest` bytes; `otherwise` is the next step where it has more.
///
/// # Errors
///
/// It cannot be read, or is longer.
pub fn read_limited(path: &Path, longest: u64, otherwise: &str) -> Result<Vec<u8>, Mistake> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    file.take(longest + 1).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > longest {
        let message = format!("`{}` is longer than {longest} bytes", shown(path));
        return Err(Mistake::new(message, otherwise));
    }
    Ok(bytes)
}

/// Says why a file cannot be read.
pub fn unreadable(path: &Path, error: &io::Error) -> Mistake {
    let shown = shown(path);
    match error.kind() {
        io::ErrorKind::NotFound => {
            let hint = match neighbor(path) {
                Some(near) => format!("did you mean `{}`?", self::shown(&near)),
                None => "check the path".into(),
            };
            Mistake::new(format!("`{shown}` does not exist"), hint)
        }
        io::ErrorKind::IsADirectory => {
            Mistake::new(format!("`{shown}` is a folder"), "give the files inside")
        }
        io::ErrorKind::PermissionDenied => Mistake::new(
            format!("`{shown}` may not be read"),
            "the file's permissions forbid it to this user",
        ),
        _ => {
            Mistake::new(format!("cannot read `{shown}`: {error}"), "check the path and the device it is on")
        }
    }
}

/// Most files of a folder that are looked at for a suggestion.
const NEIGHBORS: usize = 10_000;

/// Returns the file of the same folder and kind whose name is nearest.
fn neighbor(path: &Path) -> Option<PathBuf> {
    let stem = path.file_stem()?.to_str()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut stems: Vec<String> = std::fs::read_dir(folder)
        .ok()?
        .take(NEIGHBORS)
        .filter_map(|entry| Some(PathBuf::from(entry.ok()?.file_name())))
        .filter(|name| name.extension() == path.extension())
        .filter_map(|name| Some(name.file_stem()?.to_str()?.to_owned()))
        .collect();
    stems.sort();
    let mut near = std::ffi::OsString::from(near::nearest(stem, stems.iter().map(String::as_str))?);
    if let Some(extension) = path.extension() {
        near.push(".");
        near.push(extension);
    }
    Some(path.with_file_name(near))
}
