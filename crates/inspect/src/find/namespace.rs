//! The object namespace: directories from the root down, and the types that `\ObjectTypes` names.
//!
//! The types tell what an entry is without any symbols: a type object holds its index, and as all type objects are of one
//! known type, their headers give the cookie away.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use nt::OBJECT_TYPE;
use nt::hash::NameHash;
use nt::ob::NUMBER_HASH_BUCKETS;
use record::{Anomaly, Severity};

use super::header::{Header, counted_string};
use super::kind::Kind;
use super::shape::{Shape, offset};
use super::words;
use crate::fields::u64_at;
use crate::memory::{Memory, MemoryExt as _, Missing};

/// The most entries of all directories.
const MAX_ENTRIES: usize = 400_000;
/// The most directories on a path.
const MAX_DEPTH: usize = 64;
/// The most findings about entries that are kept.
const MAX_FAULTS: usize = 256;

/// Types whose objects matter: the objects, what leads to them, and what rings those without a name.
const OF_INTEREST: [&str; 3] = ["Callback", "Directory", "ALPC Port"];

/// Indexes of the types, as far as they are known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Types {
    pub(crate) names: BTreeMap<u8, String>,
    /// What headers are mixed with besides their address; 0 where indexes are plain.
    pub(crate) cookie: u8,
}

impl Types {
    /// Gives the index that a header stands for.
    pub(crate) fn index(&self, header: &Header, shape: &Shape) -> u8 {
        header.type_mark(shape) ^ self.cookie
    }

    /// Gives the name of a header's type.
    pub(crate) fn name(&self, header: &Header, shape: &Shape) -> Option<&str> {
        self.names.get(&self.index(header, shape)).map(String::as_str)
    }

    /// Gives the mark that headers of a type carry.
    pub(crate) fn mark(&self, name: &str) -> Option<u8> {
        self.names.iter().find(|(_, known)| *known == name).map(|(index, _)| index ^ self.cookie)
    }
}

/// A callback object in a directory.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) body: u64,
    pub(crate) path: String,
}

/// The namespace, walked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Namespace {
    pub(crate) types: Types,
    pub(crate) callbacks: Vec<Named>,
    /// Ports by address: what unnamed callback objects serve.
    pub(crate) ports: Vec<Named>,
    /// Directories by address of their bodies.
    pub(crate) directories: BTreeMap<u64, String>,
    pub(crate) faults: Vec<Anomaly>,
    pub(crate) cut: Option<String>,
    /// How many callback objects the type itself counts.
    pub(crate) counted: Option<u32>,
}

/// One entry of a directory.
struct Entry {
    at: u64,
    object: u64,
    hash: u32,
}

/// Walks the namespace below a root directory.
pub(crate) fn walk(memory: &dyn Memory, shape: &Shape, root: u64) -> Namespace {
    let mut walker = Walker { memory, shape, found: Namespace::default(), entries: 0 };
    walker.types(root);
    walker.found.directories.insert(root, "\\".to_owned());
    let mut queue = VecDeque::from([(root, String::new(), 0)]);
    while let Some((directory, path, depth)) = queue.pop_front() {
        for (name, body) in walker.directory(directory, &path) {
            let below = format!("{path}\\{name}");
            if depth >= MAX_DEPTH {
                walker.cut(format!("directories lie more than {MAX_DEPTH} deep below {path}"));
            } else if walker.found.directories.insert(body, below.clone()).is_none() {
                queue.push_back((body, below, depth + 1));
            }
        }
    }
    walker.found.callbacks.sort_by(|left, right| (&left.path, left.body).cmp(&(&right.path, right.body)));
    walker.found
}

/// Which objects directories list, each directory read once.
pub(crate) struct Listings<'m> {
    memory: &'m dyn Memory,
    shape: &'m Shape,
    /// What each lists, and whether that is all.
    known: BTreeMap<u64, (BTreeSet<u64>, bool)>,
    entries: usize,
}

impl<'m> Listings<'m> {
    pub(crate) fn new(memory: &'m dyn Memory, shape: &'m Shape) -> Self {
        Self { memory, shape, known: BTreeMap::new(), entries: 0 }
    }

    /// Tells whether a directory lists an object; `None` where its chains cannot be read to the end.
    pub(crate) fn lists(&mut self, directory: u64, body: u64) -> Option<bool> {
        if !self.known.contains_key(&directory) {
            let found = Namespace::default();
            let mut walker = Walker { memory: self.memory, shape: self.shape, found, entries: self.entries };
            let objects: BTreeSet<u64> =
                walker.entries(directory, "").iter().map(|entry| entry.object).collect();
            self.entries = walker.entries;
            self.known.insert(directory, (objects, walker.found.cut.is_none()));
        }
        let (objects, whole) = self.known.get(&directory)?;
        if objects.contains(&body) { Some(true) } else { whole.then_some(false) }
    }
}

/// Goes from a directory up to the one without a parent, which is the root.
pub(crate) fn root_above(memory: &dyn Memory, mut directory: u64) -> Option<u64> {
    for _ in 0..MAX_DEPTH {
        if !memory.kernel_range().contains(directory) {
            return None;
        }
        let info = Header::read(memory, directory).ok()?.name_info(memory)?.ok()?;
        if info.directory == 0 {
            return (info.name.ok()? == "\\").then_some(directory);
        }
        directory = info.directory;
    }
    None
}

struct Walker<'m> {
    memory: &'m dyn Memory,
    shape: &'m Shape,
    found: Namespace,
    entries: usize,
}

impl Walker<'_> {
    fn cut(&mut self, why: String) {
        self.found.cut.get_or_insert(why);
    }

    fn fault(&mut self, kind: Kind, message: String, at: u64) {
        if self.found.faults.len() < MAX_FAULTS {
            self.found.faults.push(words::anomaly(kind, Severity::Warning, message, Some(at)));
        }
    }

    /// Reads all chains of a directory.
    fn entries(&mut self, directory: u64, path: &str) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut seen = BTreeSet::new();
        let shown = if path.is_empty() { "\\" } else { path };
        // All buckets at once where they are all there.
        let whole = self.memory.array::<{ 8 * NUMBER_HASH_BUCKETS }>(directory).ok();
        for bucket in 0..NUMBER_HASH_BUCKETS as u64 {
            let mut next = match &whole {
                Some(buckets) => Ok(u64_at(buckets, 8 * bucket as usize)),
                None => self.memory.u64(directory.wrapping_add(8 * bucket)),
            };
            loop {
                let at = match next {
                    Ok(0) => break,
                    Ok(at) => at,
                    Err(missing) => {
                        self.cut(format!("the directory {shown} is not all there, {missing}"));
                        break;
                    }
                };
                if !self.memory.kernel_range().contains(at) || !seen.insert(at) {
                    let message = format!(
                        "bucket {bucket} of the directory {shown} runs in a circle or leaves the kernel at {at:#x}"
                    );
                    self.fault(Kind::DirectoryBroken, message.clone(), at);
                    self.cut(message);
                    break;
                }
                if self.entries >= MAX_ENTRIES {
                    self.cut(format!("the directories have more than {MAX_ENTRIES} entries"));
                    return entries;
                }
                self.entries += 1;
                match (self.memory.u64(at.wrapping_add(8)), self.memory.u32(at.wrapping_add(0x10))) {
                    (Ok(object), Ok(hash)) => {
                        if u64::from(hash) % NUMBER_HASH_BUCKETS as u64 != bucket {
                            self.fault(
                                Kind::EntryInWrongBucket,
                                format!("an entry of {shown} stands in bucket {bucket}, where its hash {hash:#x} does not lead"),
                                at,
                            );
                        }
                        entries.push(Entry { at, object, hash });
                    }
                    (Err(missing), _) | (_, Err(missing)) => {
                        self.cut(format!("an entry of {shown} is not there, {missing}"));
                    }
                }
                next = self.memory.u64(at);
            }
        }
        entries
    }

    /// Takes in a directory and returns the directories in it.
    fn directory(&mut self, directory: u64, path: &str) -> Vec<(String, u64)> {
        let mut below = Vec::new();
        for entry in self.entries(directory, path) {
            let Some((name, header)) = self.named(&entry, directory, path) else { continue };
            let full = format!("{path}\\{name}");
            let is_callback = self.memory.u32(entry.object) == Ok(nt::CALLBACK_SIGNATURE);
            let of_type = self.found.types.name(&header, self.shape).map(str::to_owned);
            match of_type.as_deref() {
                Some("Callback") if !is_callback => self.fault(
                    Kind::EntryWithoutSignature,
                    format!(
                        "{full} leads to {:#x}, which is of the type Callback but has no signature",
                        entry.object
                    ),
                    entry.at,
                ),
                Some("Callback") => self.found.callbacks.push(Named { body: entry.object, path: full }),
                Some("Directory") => below.push((name, entry.object)),
                Some("ALPC Port") => self.found.ports.push(Named { body: entry.object, path: full }),
                // Without the types: what has the signature, and the one directory where it belongs.
                None if is_callback => self.found.callbacks.push(Named { body: entry.object, path: full }),
                None if self.found.types.names.is_empty() && path.is_empty() && name == "Callback" => {
                    below.push((name, entry.object));
                }
                None if path.eq_ignore_ascii_case("\\Callback") => self.fault(
                    Kind::EntryToNoObject,
                    format!("{full} leads to {:#x}, which is no object of a known type", entry.object),
                    entry.at,
                ),
                _ => {}
            }
        }
        below
    }

    /// Reads the name and the header of what an entry leads to, and compares the two.
    fn named(&mut self, entry: &Entry, directory: u64, path: &str) -> Option<(String, Header)> {
        let shown = if path.is_empty() { "\\" } else { path };
        let header = match Header::read(self.memory, entry.object) {
            Ok(header) => header,
            Err(missing) => {
                self.cut(format!("an object of {shown} is not there, {missing}"));
                return None;
            }
        };
        // Most of a namespace is of other types. Their names say nothing here, whether they can be read or not.
        if self.found.types.name(&header, self.shape).is_some_and(|name| !OF_INTEREST.contains(&name)) {
            return None;
        }
        let info = match header.name_info(self.memory) {
            Some(Ok(info)) => info,
            Some(Err(missing)) => {
                self.cut(format!("the name of an object of {shown} is not there, {missing}"));
                return None;
            }
            None => {
                if path.eq_ignore_ascii_case("\\Callback") {
                    self.fault(
                        Kind::EntryToNoObject,
                        format!("an entry of {shown} leads to {:#x}, which has no name", entry.object),
                        entry.at,
                    );
                }
                return None;
            }
        };
        match info.name {
            Ok(name) => {
                let units: Vec<u16> = name.encode_utf16().collect();
                let fits =
                    [NameHash::PerChar, NameHash::Fast4].iter().any(|hash| hash.hash(&units) == entry.hash);
                // Letters beyond ASCII have an upper case that kernels differ in.
                if !fits && name.is_ascii() {
                    self.fault(
                        Kind::NameDoesNotFitHash,
                        format!(
                            "{path}\\{name} is stored under the hash {:#x}, which is that of another name",
                            entry.hash
                        ),
                        entry.at,
                    );
                }
                if info.directory != directory && path.eq_ignore_ascii_case("\\Callback") {
                    self.fault(
                        Kind::EntryAndObjectDisagree,
                        format!(
                            "{path}\\{name} is listed in {directory:#x} but says it lies in {:#x}",
                            info.directory
                        ),
                        entry.at,
                    );
                }
                Some((name, header))
            }
            Err(missing) => {
                self.cut(format!("the name of an object of {shown} is not there, {missing}"));
                // It is listed all the same, under its address.
                Some((format!("<{:#x}>", entry.object), header))
            }
        }
    }

    /// Learns the types from `\ObjectTypes`.
    fn types(&mut self, root: u64) {
        let entries = self.entries(root, "");
        let named = |walker: &Self, wanted: &str| {
            entries.iter().find(|entry| leaf(walker.memory, entry.object).is_ok_and(|name| name == wanted))
        };
        let Some(directory) = named(self, "ObjectTypes").map(|entry| entry.object) else { return };
        let layout = &OBJECT_TYPE::LAYOUT;
        let mut marks: BTreeMap<u8, usize> = BTreeMap::new();
        let mut type_index = None;
        for entry in self.entries(directory, "\\ObjectTypes") {
            let Ok(header) = Header::read(self.memory, entry.object) else { continue };
            let name = counted_string(self.memory, entry.object.wrapping_add(offset(layout, "Name")));
            let index = self.memory.u8(entry.object.wrapping_add(offset(layout, "Index")));
            if let (Ok(name), Ok(index)) = (name, index) {
                *marks.entry(header.type_mark(self.shape)).or_default() += 1;
                if name == "Callback" {
                    let at = entry.object.wrapping_add(offset(layout, "TotalNumberOfObjects"));
                    self.found.counted = self.memory.u32(at).ok();
                }
                if name == "Type" {
                    type_index = Some(index);
                }
                self.found.types.names.insert(index, name);
            }
        }
        let most = marks.into_iter().max_by_key(|(_, count)| *count).map(|(mark, _)| mark);
        if let (Some(index), Some(mark)) = (type_index, most) {
            self.found.types.cookie = mark ^ index;
        } else {
            self.found.types.names.clear();
        }
        self.entries = 0;
    }
}

/// Reads the last component of an object's name.
fn leaf(memory: &dyn Memory, body: u64) -> Result<String, Option<Missing>> {
    let header = Header::read(memory, body)?;
    header.name_info(memory).ok_or(None)??.name.map_err(Some)
}
