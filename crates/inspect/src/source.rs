//! Where the bytes of an image come from: a file read by position, or memory.
//!
//! No file is mapped: a mapped file that shrinks under the reader kills the process. Reads carry their own position, so
//! that threads share one handle. This is the only place that knows platforms, and a test holds the rest of the crate to that.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// A file, or bytes that stand for one.
#[derive(Debug)]
pub(crate) struct Source {
    backing: Backing,
    length: u64,
}

#[derive(Debug)]
enum Backing {
    #[cfg(any(unix, windows))]
    File(File),
    #[cfg(not(any(unix, windows)))]
    File(std::sync::Mutex<File>),
    Bytes(Vec<u8>),
}

impl Source {
    /// Opens a file.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Asked before opening: opening a pipe waits until somebody writes to it.
        refuse_streams(&path.metadata()?)?;
        let file = File::open(path)?;
        let length = length(&file)?;
        #[cfg(not(any(unix, windows)))]
        let file = std::sync::Mutex::new(file);
        Ok(Self { backing: Backing::File(file), length })
    }

    /// Treats bytes as a file.
    pub(crate) fn from_bytes(bytes: Vec<u8>) -> Self {
        Self { length: bytes.len() as u64, backing: Backing::Bytes(bytes) }
    }

    /// Returns the length when it was opened.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Fills the buffer from a position.
    pub(crate) fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match &self.backing {
            Backing::File(file) => read_exact_at(file, offset, buffer),
            Backing::Bytes(bytes) => {
                let at = usize::try_from(offset).ok();
                let end = at.and_then(|at| at.checked_add(buffer.len()));
                let piece = at.zip(end).and_then(|(at, end)| bytes.get(at..end));
                buffer.copy_from_slice(piece.ok_or(io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
    }

    /// Reads up to `length` bytes from a position; less only where the file ends. The caller bounds `length`.
    pub(crate) fn read_up_to(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let there = self.length.saturating_sub(offset).min(length as u64) as usize;
        let mut bytes = vec![0; there];
        if there == 0 {
            return Ok(bytes);
        }
        self.read_exact_at(offset, &mut bytes)?;
        Ok(bytes)
    }
}

/// Refuses what cannot be read by position: folders, pipes, character devices.
fn refuse_streams(metadata: &Metadata) -> io::Result<()> {
    #[cfg(unix)]
    let is_device = std::os::unix::fs::FileTypeExt::is_block_device(&metadata.file_type());
    #[cfg(not(unix))]
    let is_device = false;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.is_file() || is_device {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a block device"))
}

/// Returns how many bytes can be read: for a block device, where its metadata says zero, the position of its end.
fn length(file: &File) -> io::Result<u64> {
    use io::Seek as _;
    let metadata = file.metadata()?;
    if metadata.is_file() {
        return Ok(metadata.len());
    }
    let mut handle = file;
    handle.seek(io::SeekFrom::End(0))
}

#[cfg(unix)]
fn read_exact_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    use std::os::unix::fs::FileExt as _;
    file.read_exact_at(buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !buffer.is_empty() {
        match file.seek_read(buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(not(any(unix, windows)))]
fn read_exact_at(file: &std::sync::Mutex<File>, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
    use io::{Read as _, Seek as _};
    let mut file = file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    file.seek(io::SeekFrom::Start(offset))?;
    file.read_exact(buffer)
}
