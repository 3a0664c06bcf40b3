//! Symbols from program databases on this computer. Nothing is downloaded.
//!
//! Debuggers keep databases in folders laid out as `name/GUIDage/name` and named by `_NT_SYMBOL_PATH` (Microsoft
//! docs, "Symbol path for Windows debuggers"). A database is used only when its GUID is the one the image asks for; when
//! none is there, the message says what to fetch, from where, and where to put it.

use core::fmt;
use std::env;
use std::path::{Path, PathBuf};

use crate::find::Symbols;
use crate::kernel::Kernel;
use crate::pdb::{PdbFault, PdbSymbols};
use crate::pe::{PdbId, Pe};

/// Folders that may hold program databases, in the order they are looked through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SymbolPath {
    folders: Vec<PathBuf>,
}

impl SymbolPath {
    /// Takes a path in the syntax of `_NT_SYMBOL_PATH`: parts between semicolons, each a folder or
    /// `srv*folder*folder*server` (`symsrv*symsrv.dll*…` and `cache*…` likewise). Servers are skipped.
    ///
    /// # Examples
    ///
    /// ```
    /// use ringbell_inspect::SymbolPath;
    ///
    /// let path = SymbolPath::parse("srv*/symbols*https://msdl.microsoft.com/download/symbols;/more");
    /// let folders: Vec<_> = path.folders().iter().map(|folder| folder.display().to_string()).collect();
    /// assert_eq!(folders, ["/symbols", "/more"]);
    /// ```
    pub fn parse(text: &str) -> Self {
        let is_folder = |part: &&str| {
            let lower = part.to_ascii_lowercase();
            !part.is_empty()
                && !lower.contains("://")
                && !["srv", "cache", "symsrv", "symsrv.dll"].contains(&lower.as_str())
        };
        let parts = text.split(';').flat_map(|part| part.split('*'));
        Self { folders: parts.map(str::trim).filter(is_folder).map(PathBuf::from).collect() }
    }

    /// Takes `_NT_SYMBOL_PATH` and `_NT_ALT_SYMBOL_PATH` of the environment.
    pub fn from_environment() -> Self {
        let parts = ["_NT_SYMBOL_PATH", "_NT_ALT_SYMBOL_PATH"].map(|name| env::var(name).unwrap_or_default());
        Self::parse(&parts.join(";"))
    }

    /// Adds a folder in front of the others.
    pub fn prepend(&mut self, folder: PathBuf) {
        self.folders.insert(0, folder);
    }

    /// Returns the folders.
    pub fn folders(&self) -> &[PathBuf] {
        &self.folders
    }

    /// Finds and reads the database of an image.
    ///
    /// # Errors
    ///
    /// [`SymbolsMissing`] when no folder holds it; its hint names the address to fetch it from.
    pub fn load(&self, id: &PdbId) -> Result<PdbSymbols, Box<SymbolsMissing>> {
        let missing =
            |because| Box::new(SymbolsMissing { id: id.clone(), folders: self.folders.clone(), because });
        // The name comes out of an image: it must not lead anywhere else.
        if !is_file_name(&id.name) {
            return Err(missing(Absence::BadName));
        }
        let mut because = Absence::NotThere;
        for folder in &self.folders {
            for place in places(folder, id) {
                if place.is_file() {
                    match PdbSymbols::read(&place, id) {
                        Ok(symbols) => return Ok(symbols),
                        Err(fault) => because = Absence::Unusable { place, fault },
                    }
                } else if because == Absence::NotThere && compressed(&place).is_file() {
                    because = Absence::Compressed(compressed(&place));
                }
            }
        }
        Err(missing(because))
    }
}

/// Where a database may lie below a folder: as a symbol store keeps it, by one or two levels, or flat.
fn places(folder: &Path, id: &PdbId) -> Vec<PathBuf> {
    let (name, key) = (id.name.as_str(), id.key());
    let start: String = name.chars().take(2).collect();
    let mut places = vec![
        folder.join(name).join(&key).join(name),
        folder.join(name).join(key.to_ascii_lowercase()).join(name),
        folder.join(start).join(name).join(&key).join(name),
        folder.join(name),
        folder.join("exe").join(name),
    ];
    places.dedup();
    places
}

/// Returns the name a symbol store gives to a compressed file: its last letter is an underscore.
fn compressed(place: &Path) -> PathBuf {
    let mut name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.pop();
    name.push('_');
    place.with_file_name(name)
}

fn is_file_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+() ".contains(c);
    !name.is_empty() && name.len() < 128 && !name.starts_with('.') && name.chars().all(plain)
}

/// Why there are no symbols.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Absence {
    NotThere,
    Compressed(PathBuf),
    Unusable { place: PathBuf, fault: PdbFault },
    BadName,
}

/// No database for an image: which one is missing, and where it can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolsMissing {
    id: PdbId,
    folders: Vec<PathBuf>,
    because: Absence,
}

impl SymbolsMissing {
    /// Returns which database is missing.
    pub fn id(&self) -> &PdbId {
        &self.id
    }

    /// Returns the next step: the address to fetch the file from and the place to put it.
    pub fn hint(&self) -> String {
        let Self { id, folders, because } = self;
        match because {
            Absence::Compressed(place) => {
                format!("expand `{}` with `expand` or `cabextract`", place.display())
            }
            Absence::BadName => "the debug record of the image is damaged or forged".to_owned(),
            _ => {
                let folder =
                    folders.first().map_or_else(|| "SYMBOLS".into(), |first| first.display().to_string());
                let key = id.key();
                format!("fetch {} and put it at `{folder}/{}/{key}/{}`", id.url(), id.name, id.name)
            }
        }
    }
}

impl fmt::Display for SymbolsMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, folders, because } = self;
        write!(f, "no symbols: `{}`, GUID {}, age {}, ", id.name, id.guid_text(), id.age)?;
        match because {
            Absence::NotThere if folders.is_empty() => f.write_str("and no folder to look in was given"),
            Absence::NotThere => f.write_str("is in none of the folders of the symbol path"),
            Absence::Compressed(place) => write!(f, "is there only compressed, as `{}`", place.display()),
            Absence::Unusable { place, fault } => write!(f, "is at `{}`, but {fault}", place.display()),
            Absence::BadName => f.write_str("which is no file name"),
        }
    }
}

impl core::error::Error for SymbolsMissing {}

/// The symbols of all modules of an image that have a database on this computer.
#[derive(Debug, Default)]
pub struct SymbolFiles {
    /// Modules by address: base, size, symbols.
    modules: Vec<(u64, u32, PdbSymbols)>,
    kernel: Option<usize>,
}

impl SymbolFiles {
    /// Loads what the folders of a symbol path hold for the modules of an image, and says what is missing for the
    /// kernel: without that the list of callback objects has to be found by its structure.
    pub fn load(kernel: &Kernel<'_>, path: &SymbolPath) -> (Self, Option<SymbolsMissing>) {
        let mut files = Self::default();
        let mut missing = None;
        let base = kernel.base.map(|(base, _)| base);
        if let (Ok(Some(id)), Some(base), Some(image)) = (&kernel.pdb, base, &kernel.image) {
            match path.load(id) {
                Ok(symbols) => files.modules.push((base, image.size, symbols)),
                Err(absent) => missing = Some(*absent),
            }
        }
        let others = if path.folders.is_empty() { &[][..] } else { &kernel.modules };
        for module in others.iter().filter(|module| Some(module.base) != base) {
            let id =
                Pe::read(kernel.memory(), module.base).ok().and_then(|pe| pe.pdb(kernel.memory()).ok()?);
            if let Some(symbols) = id.and_then(|id| path.load(&id).ok()) {
                files.modules.push((module.base, module.size, symbols));
            }
        }
        files.modules.sort_by_key(|(base, ..)| *base);
        files.kernel = files.modules.iter().position(|(at, ..)| Some(*at) == base);
        (files, missing)
    }

    /// Returns the databases in use, with the modules they belong to.
    pub fn files(&self) -> impl Iterator<Item = (u64, &Path)> + '_ {
        self.modules.iter().map(|(base, _, symbols)| (*base, symbols.path()))
    }
}

impl Symbols for SymbolFiles {
    fn global(&self, name: &str) -> Option<u64> {
        let (base, _, symbols) = self.modules.get(self.kernel?)?;
        symbols.rva_of(name).map(|rva| base + u64::from(rva))
    }

    fn routine(&self, address: u64) -> Option<String> {
        let index = self.modules.partition_point(|(base, ..)| *base <= address).checked_sub(1)?;
        let (base, size, symbols) = &self.modules[index];
        let rva = u32::try_from(address - base).ok().filter(|rva| rva < size)?;
        Some(match symbols.nearest(rva)? {
            (name, 0) => name.to_owned(),
            (name, offset) => format!("{name}+{offset:#x}"),
        })
    }
}
