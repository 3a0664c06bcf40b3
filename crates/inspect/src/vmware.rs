//! VMware: the memory map, the control registers and sometimes the memory itself in a state file (`.vmss`, `.vmsn`).
//!
//! The format is as public parsers describe it (volatility, rekall, crash): groups of tags, each tag a name, up to three
//! indices and a value. Regions in the group `memory` say which pages lie where: in the `.vmem` next to the state file, or,
//! with ESX and older products, in the value of the tag `Memory` of that group. Such a block may be compressed (size mark 62
//! where a plain one has 63); that is recognized, named and not read.

use std::collections::BTreeMap;

use crate::fields::{text, u16_at, u32_at, u64_at};
use crate::memory::PAGE_SIZE;
use crate::runs::Run;
use crate::source::Source;

/// The most groups, tags and regions looked at; real files have tens, thousands, and two.
const MAX_GROUPS: u32 = 256;
const MAX_TAGS: usize = 1 << 16;
const MAX_REGIONS: u64 = 1 << 10;
/// The most processors asked for their registers.
const MAX_PROCESSORS: u32 = 64;
/// Bytes before the groups, and of a group.
const HEADER_SIZE: u64 = 12;
const GROUP_SIZE: u64 = 80;

/// What a state file says about memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Regions of the `.vmem`; none when it is one piece.
    pub(crate) regions: Vec<Run>,
    /// CR3 of each processor.
    pub(crate) cr3: Vec<u64>,
    /// The memory, where it lies in the state file.
    pub(crate) memory: Option<Block>,
}

impl State {
    /// Takes the regions as places in the state file itself, which holds the memory in `block`. The file has `length` bytes.
    /// Returns the regions and where the block ends: what they name behind it is not there.
    pub(crate) fn inside(&self, block: Block, length: u64) -> (Vec<Run>, u64) {
        let end = block.offset.saturating_add(block.on_disk).min(length);
        let runs = match &self.regions[..] {
            [] => vec![Run { first: 0, length: block.on_disk, offset: block.offset }],
            regions => regions
                .iter()
                .map(|run| Run { offset: run.offset.saturating_add(block.offset), ..*run })
                .collect(),
        };
        (runs, end)
    }
}

/// A large value in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block {
    /// Where its bytes begin.
    pub(crate) offset: u64,
    /// How many they are.
    pub(crate) on_disk: u64,
    pub(crate) compressed: bool,
}

/// The tags of a group.
#[derive(Debug, Default)]
struct Tags {
    /// Numbers by tag name and indices.
    numbers: BTreeMap<(String, Vec<u32>), u64>,
    /// Large values by tag name, the first of each name.
    blocks: BTreeMap<String, Block>,
}

/// Tells whether a file begins as a state file does.
pub(crate) fn is_state(magic: u32) -> bool {
    matches!(magic, 0xBED2_BED0 | 0xBAD1_BAD1 | 0xBED2_BED2 | 0xBED3_BED3)
}

/// Reads a state file.
///
/// # Errors
///
/// A sentence that says what is wrong with it.
pub(crate) fn read(source: &Source) -> Result<State, String> {
    let io = |error: std::io::Error| error.to_string();
    let head = source.read_up_to(0, HEADER_SIZE as usize).map_err(io)?;
    let magic = u32_at(&head, 0);
    if !is_state(magic) {
        return Err("it does not begin with the mark of a VMware state file".to_owned());
    }
    // Version 0 counts large values with 32 bits.
    let wide = magic & 0xF != 0;
    let groups = u32_at(&head, 8).min(MAX_GROUPS);
    let mut state = State::default();
    let mut seen = [false; 2];
    for index in 0..u64::from(groups) {
        let group = source.read_up_to(HEADER_SIZE + index * GROUP_SIZE, GROUP_SIZE as usize).map_err(io)?;
        if group.len() < GROUP_SIZE as usize {
            return Err("it ends inside its list of groups".to_owned());
        }
        let at = u64_at(&group, 64);
        match text(&group[..64]).as_str() {
            // There is one of each: a file that names them many times would be read as often.
            "memory" if !std::mem::replace(&mut seen[0], true) => {
                let tags = tags(source, at, wide)?;
                state.regions = regions(&tags)?;
                // An empty block stands where the memory lies in a file of its own.
                state.memory = tags.blocks.get("Memory").copied().filter(|block| block.on_disk >= PAGE_SIZE);
            }
            "cpu" if !std::mem::replace(&mut seen[1], true) => {
                state.cr3 = control_registers(&tags(source, at, wide)?)
            }
            _ => {}
        }
    }
    Ok(state)
}

/// Reads the tags of a group, up to its end mark.
fn tags(source: &Source, mut at: u64, wide: bool) -> Result<Tags, String> {
    let mut tags = Tags::default();
    for _ in 0..MAX_TAGS {
        // Flags, length of the name, the name (255 at most), three indices, a value of up to 61 bytes or its lengths.
        let bytes = source.read_up_to(at, 2 + 255 + 3 * 4 + 64).map_err(|error| error.to_string())?;
        // The file was cut off inside a block, or right behind it; who reads the block says how much is missing.
        if at >= source.len() && !tags.blocks.is_empty() {
            return Ok(tags);
        }
        let [flags, name_length, ..] = bytes[..] else {
            return Err("it ends inside a group of tags".to_owned());
        };
        if flags == 0 && name_length == 0 {
            return Ok(tags);
        }
        let name_end = 2 + usize::from(name_length);
        let indices = usize::from(flags >> 6 & 3);
        let value = name_end + indices * 4;
        if value > bytes.len() {
            return Err("it ends inside a tag".to_owned());
        }
        let name = text(&bytes[2..name_end]);
        let index = (0..indices).map(|index| u32_at(&bytes, name_end + index * 4)).collect();
        let size = usize::from(flags & 0x3F);
        let next = match size {
            62 | 63 => {
                let count = if wide { 8 } else { 4 };
                // Bytes in the file, bytes in memory, bytes of padding.
                let on_disk = if wide { u64_at(&bytes, value) } else { u64::from(u32_at(&bytes, value)) };
                let padding = u64::from(u16_at(&bytes, value + 2 * count));
                let start = value as u64 + 2 * count as u64 + 2 + padding;
                let block = Block { offset: at.saturating_add(start), on_disk, compressed: size == 62 };
                tags.blocks.entry(name).or_insert(block);
                start.saturating_add(on_disk)
            }
            _ => {
                let mut number = [0; 8];
                if let Some(bytes) = bytes.get(value..value + size.min(8)) {
                    number[..bytes.len()].copy_from_slice(bytes);
                }
                tags.numbers.insert((name, index), u64::from_le_bytes(number));
                (value + size) as u64
            }
        };
        at = at.saturating_add(next);
    }
    Err("a group has more tags than the limit".to_owned())
}

/// Returns the regions of the memory file.
fn regions(tags: &Tags) -> Result<Vec<Run>, String> {
    let tag = |name: &str, index: Option<u32>| {
        tags.numbers.get(&(name.to_owned(), index.into_iter().collect::<Vec<u32>>())).copied()
    };
    let count = tag("regionsCount", None).unwrap_or(0);
    if count > MAX_REGIONS {
        return Err(format!("it claims {count} regions of memory"));
    }
    (0..count as u32)
        .map(|index| {
            let pages = |name: &str| {
                tag(name, Some(index))
                    .ok_or_else(|| format!("region {index} of its memory map lacks `{name}`"))
            };
            Ok(Run {
                first: pages("regionPPN")?.saturating_mul(PAGE_SIZE),
                offset: pages("regionPageNum")?.saturating_mul(PAGE_SIZE),
                length: pages("regionSize")?.saturating_mul(PAGE_SIZE),
            })
        })
        .collect()
}

/// Returns CR3 of the processors, in order.
fn control_registers(tags: &Tags) -> Vec<u64> {
    (0..MAX_PROCESSORS)
        .filter_map(|processor| {
            let tag = |name: &str| tags.numbers.get(&(name.to_owned(), vec![processor, 3])).copied();
            tag("CR64").or_else(|| tag("CR"))
        })
        .filter(|&cr3| cr3 != 0)
        .collect()
}
