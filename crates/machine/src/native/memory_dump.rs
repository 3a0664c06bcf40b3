//! The parent's side of a dump: asks the kernel process for its memory and writes it.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::Range;
use std::time::Duration;

use super::last_words::{Kind, LastWords};
use super::machine::Machine;
use super::memory;
use crate::MachineError;
use crate::dump::{Facts, Pages, write};
use crate::plan::{self, PAGE};
use crate::wire::{Accessible, Command, Reply};

/// Bytes asked for at a time.
const PIECE: u64 = 1 << 20;

/// Wall time that the process of a dead machine may take for a piece, at the least.
const LIMIT: Duration = Duration::from_secs(10);

/// Most memory a dump may have: far above what the plan's regions ever hold, and no more than a host should lose to a
/// kernel process that lies.
const MOST: u64 = 4 << 30;

impl Machine {
    /// Writes the machine as a Windows crash dump: its memory as it is now, with page tables, header and debugger data. See
    /// [`crate::dump`]. The dump of a machine that died in a bugcheck and [has remains](Self::has_remains) tells the bugcheck.
    ///
    /// # Errors
    ///
    /// Fails where the machine has ended, or ends, and nothing remains of it, and where `out` fails.
    pub fn dump(&mut self, out: &mut impl Write) -> Result<(), MachineError> {
        let words =
            self.process.has_remains().then(|| LastWords::read(self.process.shared.last_words())).flatten();
        let now = match &words {
            Some(words) => words.time,
            None => match self.ask(&Command::Regions)? {
                Reply::Regions { now } => now,
                _ => return Err(self.confused()),
            },
        };
        let regions = memory::accessible(self.process_id()).map_err(MachineError::Write)?;
        if !plausible(&regions) {
            return Err(self.confused());
        }
        let host = memory::of_host(self.process_id()).map_err(MachineError::Write)?;
        let mut pages = Vec::with_capacity(regions.len());
        for region in regions {
            let mut read = self.read(region)?;
            hide(&mut read.bytes, &host);
            pages.push(read);
        }
        let facts = self.facts(now, words.as_ref());
        write(&pages, &facts, out).map_err(MachineError::Write)
    }

    fn read(&mut self, region: Accessible) -> Result<Pages, MachineError> {
        let mut bytes = Vec::new();
        for offset in (0..region.size).step_by(PIECE as usize) {
            let length = PIECE.min(region.size - offset) as u32;
            if self.process.has_remains() {
                let limit = self.config.timeout.max(LIMIT);
                let piece = self.process.remains(region.base + offset, length as usize, limit);
                bytes.extend(piece.ok_or(MachineError::Ended)?);
                continue;
            }
            let piece = self.ask(&Command::Read { address: region.base + offset, bytes: length })?;
            match piece {
                Reply::Bytes(piece) if piece.len() == length as usize => bytes.extend(piece),
                _ => return Err(self.confused()),
            }
        }
        Ok(Pages { base: region.base, write: region.write, execute: region.execute, bytes })
    }

    fn facts(&self, up_time: u64, words: Option<&LastWords>) -> Facts {
        let bugcheck = words.filter(|words| words.kind == Kind::Bugcheck);
        let kernel = self.modules.0.first();
        let symbol = |name: &str| {
            kernel.and_then(|kernel| {
                let symbol = kernel.symbols.iter().find(|symbol| symbol.name == name)?;
                Some(kernel.base + u64::from(symbol.rva))
            })
        };
        Facts {
            build: self.build(),
            processors: self.config().processors.into(),
            up_time,
            kernel: plan::KERNEL_IMAGE.base,
            loaded_modules: symbol("PsLoadedModuleList").unwrap_or(0),
            root_directory: symbol("ObpRootDirectoryObject").unwrap_or(0),
            type_type: symbol("ObpTypeObjectType").unwrap_or(0),
            system_range_start: symbol("MmSystemRangeStart").unwrap_or(0),
            bugcheck: bugcheck.map_or(0, |words| words.code),
            parameters: bugcheck.map_or([0; 4], |words| words.parameters),
            registers: words.and_then(|words| words.registers),
        }
    }
}

/// Puts zeros where a word is an address of `host`: the machine has none of its own there, and they differ from run to run. Where only the upper
/// half of a word is that of such an address, it is what another value left there, as in the gap of a `UNICODE_STRING`.
fn hide(bytes: &mut [u8], host: &[Range<u64>]) {
    let (Some(first), Some(last)) = (host.first(), host.last()) else { return };
    let halves: BTreeSet<u64> =
        host.iter().flat_map(|range| [range.start >> 32, (range.end - 1) >> 32]).collect();
    for word in bytes.as_chunks_mut::<8>().0 {
        let value = u64::from_le_bytes(*word);
        if value < first.start >> 32 << 32 || value >> 32 > last.end >> 32 || !halves.contains(&(value >> 32))
        {
            continue;
        }
        let at = host.partition_point(|range| range.end <= value);
        if host.get(at).is_some_and(|range| range.contains(&value)) {
            *word = [0; 8];
        } else {
            word[4..].fill(0);
        }
    }
}

/// Whether a list of regions can be true: sorted, whole pages of guest memory, and not more than a host can hold.
fn plausible(regions: &[Accessible]) -> bool {
    let whole = |region: &Accessible| {
        region.size > 0
            && region.base.is_multiple_of(PAGE)
            && region.size.is_multiple_of(PAGE)
            && plan::is_guest(region.base, region.size)
    };
    let sorted = regions.windows(2).all(|pair| pair[0].base + pair[0].size <= pair[1].base);
    regions.iter().all(whole) && sorted && regions.iter().map(|region| region.size).sum::<u64>() <= MOST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_host_are_hidden_and_what_they_left_in_gaps() {
        let host = [0x5633_1000_0000..0x5633_1010_0000, 0x7FFE_FFFF_F000..0x7FFF_0000_1000];
        let words = [
            (0x5633_1000_0000_u64, 0),
            (0x5633_100F_FFFF, 0),
            (0x7FFF_0000_0FFF, 0),
            // A length and a maximum in the lower half, something old in the upper one.
            (0x5633_0008_0008, 0x0008_0008),
            (0x10_8000_0000, 0x10_8000_0000),
            (0x5634_1000_0000, 0x5634_1000_0000),
            (0x5632_1000_0000, 0x5632_1000_0000),
            (0, 0),
            (u64::MAX, u64::MAX),
        ];
        let mut bytes: Vec<u8> = words.iter().flat_map(|(word, _)| word.to_le_bytes()).collect();
        hide(&mut bytes, &host);
        let read: Vec<u64> = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        assert_eq!(read, words.map(|(_, hidden)| hidden));
        hide(&mut bytes, &[]);
    }
}
