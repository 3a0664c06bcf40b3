//! One program database: its identity and its public symbols.
//!
//! The format is read by `pdb2`; which database belongs to an image is decided here, by GUID and age.

use core::fmt;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use pdb2::FallibleIterator as _;
use thiserror::Error;

use crate::pe::PdbId;

/// The largest database that is opened; that of the kernel has some 20 MB.
const MAX_FILE: u64 = 2 << 30;
/// The most symbols kept; the kernel has some 60000.
const MAX_SYMBOLS: usize = 1 << 21;

/// The kinds of public symbols (`cvinfo.h` of Microsoft's `microsoft-pdb`): the name ends at a NUL, or is counted.
const S_PUB32: u16 = 0x110E;
const S_PUB32_ST: u16 = 0x1009;

/// Why a database is not used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PdbFault {
    /// It belongs to another build of the image.
    #[error("it belongs to another build ({0})")]
    OtherBuild(String),
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

/// A database, of which no part is larger than the whole.
///
/// A part is a list of pages, which may name one page a million times, and the list is such a part itself: a file of some
/// kilobytes asks for gigabytes.
#[derive(Debug)]
struct Whole<F> {
    file: F,
    length: u64,
}

impl<'s, F: Read + Seek + fmt::Debug + 's> pdb2::Source<'s> for Whole<F> {
    fn view(
        &mut self,
        slices: &[pdb2::SourceSlice],
    ) -> Result<Box<dyn pdb2::SourceView<'s> + Send + Sync>, io::Error> {
        let sum = slices.iter().try_fold(0_u64, |sum, slice| sum.checked_add(slice.size as u64));
        if sum.is_none_or(|sum| sum > self.length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a part of it is larger than the whole"));
        }
        pdb2::Source::view(&mut self.file, slices)
    }
}

/// The public symbols of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PdbSymbols {
    by_name: BTreeMap<String, u32>,
    by_rva: Vec<(u32, String)>,
    path: PathBuf,
}

impl PdbSymbols {
    /// Reads a database if it belongs to the image.
    ///
    /// # Errors
    ///
    /// [`PdbFault`] when it belongs to another build or cannot be read.
    pub fn read(path: &Path, id: &PdbId) -> Result<Self, PdbFault> {
        let unreadable = |error: &dyn fmt::Display| PdbFault::Unreadable(error.to_string());
        let file = File::open(path).map_err(|error| unreadable(&error))?;
        let length = file.metadata().map_err(|error| unreadable(&error))?.len();
        if length > MAX_FILE {
            return Err(PdbFault::Unreadable("it is larger than 2 GiB".to_owned()));
        }
        let mut symbols = Self::read_whole(Whole { file, length }, id)?;
        path.clone_into(&mut symbols.path);
        Ok(symbols)
    }

    /// Reads a database from memory. It has no path.
    ///
    /// # Errors
    ///
    /// As for [`PdbSymbols::read`].
    pub fn from_bytes(bytes: Vec<u8>, id: &PdbId) -> Result<Self, PdbFault> {
        let length = bytes.len() as u64;
        Self::read_whole(Whole { file: Cursor::new(bytes), length }, id)
    }

    fn read_whole(whole: impl pdb2::Source<'static> + Send + 'static, id: &PdbId) -> Result<Self, PdbFault> {
        // The crate adds sizes of a damaged file without checks, which panics in debug builds.
        catch_unwind(AssertUnwindSafe(|| Self::read_parts(whole, id)))
            .unwrap_or_else(|_| Err(PdbFault::Unreadable("it is damaged".to_owned())))
    }

    fn read_parts(whole: impl pdb2::Source<'static> + Send + 'static, id: &PdbId) -> Result<Self, PdbFault> {
        let unreadable = |error: pdb2::Error| PdbFault::Unreadable(error.to_string());
        let mut pdb = pdb2::PDB::open(whole).map_err(unreadable)?;
        let information = pdb.pdb_information().map_err(unreadable)?;
        let ages = [Some(information.age), pdb.debug_information().ok().and_then(|debug| debug.age())];
        let guid = information.guid.to_bytes_le();
        if guid != id.guid || !ages.contains(&Some(id.age)) {
            let found = PdbId { name: id.name.clone(), guid, age: ages[1].unwrap_or(information.age) };
            return Err(PdbFault::OtherBuild(found.key()));
        }
        let map = pdb.address_map().map_err(unreadable)?;
        let table = pdb.global_symbols().map_err(unreadable)?;
        let mut symbols = Self::default();
        let mut iterator = table.iter();
        while let Some(symbol) = iterator.next().map_err(unreadable)? {
            // No other kind is parsed: for some the crate takes as much memory as a count in the file says.
            if !matches!(symbol.raw_kind(), S_PUB32 | S_PUB32_ST) {
                continue;
            }
            let Ok(pdb2::SymbolData::Public(public)) = symbol.parse() else { continue };
            let Some(rva) = public.offset.to_rva(&map) else { continue };
            if symbols.by_rva.len() >= MAX_SYMBOLS {
                break;
            }
            let name = public.name.to_string().into_owned();
            symbols.by_rva.push((rva.0, name.clone()));
            symbols.by_name.entry(name).or_insert(rva.0);
        }
        symbols.by_rva.sort();
        Ok(symbols)
    }

    /// Returns where a symbol lies, relative to the image.
    pub fn rva_of(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Returns the symbol at or before an RVA, and how far before it lies.
    pub fn nearest(&self, rva: u32) -> Option<(&str, u32)> {
        let after = self.by_rva.partition_point(|(at, _)| *at <= rva);
        let (at, _) = self.by_rva.get(after.checked_sub(1)?)?;
        // Of several names of one place the first in the alphabet speaks for it.
        let first = self.by_rva.partition_point(|(before, _)| before < at);
        self.by_rva.get(first).map(|(at, name)| (name.as_str(), rva - at))
    }

    /// Returns how many symbols there are.
    pub fn len(&self) -> usize {
        self.by_rva.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.by_rva.is_empty()
    }

    /// Returns the file they come from.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
