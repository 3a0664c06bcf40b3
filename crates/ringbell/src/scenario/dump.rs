//! The file that a dump is written to.
//!
//! A dump is written beside the file that it is to become and takes its name when it is whole: a run that dies, and a disk that is
//! full, lose no dump that was there before. Only dumps are replaced. What is no file, such as a pipe or a device, is written to as it is.
//!
//! A machine is dumped after its last step, or when it dies, as Windows does at a bugcheck. Where it dies while its drivers leave, it has been dumped
//! already, and the dump of its death takes the place of that one; a pipe or a device is not written to a second time.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use ::machine::MachineError;

use crate::{DumpForm, Machine};

/// The dumps of a run, which go to one file.
#[derive(Debug)]
pub(super) struct Dumps<'a> {
    next: Option<DumpFile<'a>>,
    form: DumpForm,
    /// Whether there is one.
    pub(super) written: bool,
}

impl<'a> Dumps<'a> {
    /// Makes sure that a dump can be written to `path`, where there is to be one.
    ///
    /// # Errors
    ///
    /// As for [`DumpFile::open`].
    pub(super) fn open(path: Option<&'a Path>, form: DumpForm) -> io::Result<Self> {
        Ok(Self { next: path.map(DumpFile::open).transpose()?, form, written: false })
    }

    /// Dumps a machine that came to where it is to be dumped, or died on the way there.
    ///
    /// # Errors
    ///
    /// Those of what was `done`, and of the dump.
    pub(super) fn after(
        &mut self,
        machine: &mut Machine,
        done: Result<(), MachineError>,
    ) -> Result<(), MachineError> {
        let died = machine.has_remains();
        if done.is_err() && !died {
            return done;
        }
        let Some(mut file) = self.next.take() else { return done };
        let (path, is_file) = (file.path, file.beside.is_some());
        match machine.dump(self.form, file.writer()) {
            // Nobody can read what the process would not show. How it ended is told all the same.
            Err(MachineError::Ended) => return done.and(Err(MachineError::Ended)),
            dumped => dumped?,
        }
        file.keep().map_err(MachineError::Write)?;
        self.written = true;
        if is_file && !died {
            self.next = Some(DumpFile::open(path).map_err(MachineError::Write)?);
        }
        done
    }
}

/// A dump that is to be written. Dropped before it is [`kept`](Self::keep), it leaves nothing behind.
#[derive(Debug)]
pub(super) struct DumpFile<'a> {
    path: &'a Path,
    /// Where it is until it is whole. `None` for what is no file.
    beside: Option<PathBuf>,
    file: BufWriter<File>,
}

impl<'a> DumpFile<'a> {
    /// Makes sure that a dump can be written to `path`, before anything else is done for it.
    ///
    /// # Errors
    ///
    /// Fails where the folder or what is there cannot be written; the error names the path.
    pub(super) fn open(path: &'a Path) -> io::Result<Self> {
        let opened = match fs::metadata(path) {
            Ok(facts) if facts.is_file() => replaceable(path).and_then(|path| Self::beside(&path)),
            Ok(_) => OpenOptions::new().write(true).open(path).map(|file| (None, file)),
            Err(_) => Self::beside(path),
        };
        let (beside, file) = opened.map_err(|error| named(path, &error))?;
        Ok(Self { path, beside, file: BufWriter::new(file) })
    }

    fn beside(path: &Path) -> io::Result<(Option<PathBuf>, File)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let mut partial = OsString::from(".");
        partial.push(name);
        partial.push(format!(".{}.partial", std::process::id()));
        let partial = path.with_file_name(partial);
        let file = OpenOptions::new().write(true).create_new(true).open(&partial)?;
        Ok((Some(partial), file))
    }

    /// Returns what the dump is written into.
    pub(super) fn writer(&mut self) -> &mut impl io::Write {
        &mut self.file
    }

    /// Gives the dump its name: it is whole.
    ///
    /// # Errors
    ///
    /// Fails where what was written does not reach the disk or the name cannot be given; the error names the path.
    pub(super) fn keep(mut self) -> io::Result<()> {
        let flushed = self.file.flush();
        let renamed = flushed.and_then(|()| {
            let Some(partial) = &self.beside else { return Ok(()) };
            // A link leads to the file that is replaced.
            let target = fs::canonicalize(self.path).unwrap_or_else(|_| self.path.to_owned());
            fs::rename(partial, target)
        });
        renamed.map_err(|error| named(self.path, &error))?;
        self.beside = None;
        Ok(())
    }
}

impl Drop for DumpFile<'_> {
    fn drop(&mut self) {
        if let Some(partial) = &self.beside {
            // There is nobody to tell, and a dump that is not whole is of no use.
            let _ = fs::remove_file(partial);
        }
    }
}

/// Returns the file that `path` leads to, where it is a dump, or empty: nobody wants a driver, or what else there is, replaced by one.
fn replaceable(path: &Path) -> io::Result<PathBuf> {
    let mut start = Vec::new();
    File::open(path)?.take(8).read_to_end(&mut start)?;
    if start.is_empty() || start.starts_with(b"PAGEDU") {
        return fs::canonicalize(path);
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is there already, and no crash dump"))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}
