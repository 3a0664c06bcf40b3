//! The parent's side of a dump: asks the kernel process for its memory and writes it.

use std::collections::BTreeSet;
use std::io::Write;
use std::mem::offset_of;
use std::ops::Range;
use std::time::Duration;

use nt::{KSYSTEM_TIME, KUSER_SHARED_DATA};
use record::Fnv1a;

use super::last_words::{Kind, LastWords};
use super::machine::Machine;
use super::memory;
use crate::MachineError;
use crate::dump::{Facts, Form, Pages, write};
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
    pub fn dump(&mut self, form: Form, out: &mut impl Write) -> Result<(), MachineError> {
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
        pages.extend(shared_data(&pages, &facts));
        write(&pages, &facts, form, out).map_err(MachineError::Write)
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

    /// Returns a number that is another one for another run. Windows counts the boots of an installation, of which there is none here; the same run
    /// has the same number, and none that cannot be had again has that of another.
    fn boot_id(&self) -> u32 {
        let config = &self.config;
        let nonce = if config.parallel { self.process.shared.nonce() } else { [0; 2] };
        let settings = [
            config.seed,
            config.processors.into(),
            config.kernel_listeners.into(),
            self.run,
            nonce[0],
            nonce[1],
        ];
        let mut hash = Fnv1a::default();
        hash.add(config.profile.as_bytes());
        settings.iter().for_each(|word| hash.add(&word.to_le_bytes()));
        let hash = hash.value();
        // Zero says that nobody counts.
        ((hash ^ hash >> 32) as u32).max(1)
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
            system_time: executive::ke::BOOT_SYSTEM_TIME.cast_unsigned() + up_time,
            boot_id: self.boot_id(),
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

/// Returns `KUSER_SHARED_DATA` as Windows shows it to everybody, at its address of the upper half, where no page of a Linux process can be: with the time
/// of now, which drivers are told instruction by instruction, and a number of the boot.
fn shared_data(pages: &[Pages], facts: &Facts) -> Option<Pages> {
    let place = plan::SHARED_DATA.base;
    let range =
        pages.iter().find(|range| range.base <= place && place - range.base < range.bytes.len() as u64)?;
    let mut bytes = range.bytes[(place - range.base) as usize..][..PAGE as usize].to_vec();
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    for (at, time) in [
        (offset_of!(KUSER_SHARED_DATA, InterruptTime), facts.up_time),
        (offset_of!(KUSER_SHARED_DATA, SystemTime), facts.system_time),
    ] {
        put(at, &time.to_le_bytes());
        put(at + offset_of!(KSYSTEM_TIME, High2Time), &((time >> 32) as u32).to_le_bytes());
    }
    put(offset_of!(KUSER_SHARED_DATA, BootId), &facts.boot_id.to_le_bytes());
    Some(Pages { base: plan::KUSER_SHARED_DATA, write: false, execute: false, bytes })
}

/// Puts zeros where a word is an address of `host`: the machine has none of its own there, and they differ from run to run. Where only the upper
/// half of a word is that of such an address, it is what another value left there, as in the gap of a `UNICODE_STRING`, whose lengths stay.
fn hide(bytes: &mut [u8], host: &[Range<u64>]) {
    let (Some(first), Some(last)) = (host.first(), host.last()) else { return };
    let halves: BTreeSet<u64> =
        host.iter().flat_map(|range| [range.start >> 32, (range.end - 1) >> 32]).collect();
    let words = bytes.as_chunks_mut::<8>().0;
    for index in 0..words.len() {
        let value = u64::from_le_bytes(words[index]);
        if value < first.start >> 32 << 32 || value >> 32 > last.end >> 32 || !halves.contains(&(value >> 32))
        {
            continue;
        }
        let at = host.partition_point(|range| range.end <= value);
        let next = words.get(index + 1).map_or(0, |next| u64::from_le_bytes(*next));
        if host.get(at).is_some_and(|range| range.contains(&value)) && !are_lengths(value as u32, next) {
            words[index] = [0; 8];
        } else {
            words[index][4..].fill(0);
        }
    }
}

/// Whether `low` looks like length and maximum of a `UNICODE_STRING` whose characters lie at `buffer`. With an old upper half they may
/// well make an address of the host, by chance.
fn are_lengths(low: u32, buffer: u64) -> bool {
    let (length, most) = (low & 0xFFFF, low >> 16);
    length <= most
        && most < 0x400
        && length.is_multiple_of(2)
        && most != 0
        && plan::is_guest(buffer, most.into())
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
            (0x5633_1002_0010, 0),
            (0x10_8000_0000, 0x10_8000_0000),
            (0x7FFF_0000_0000 | 0x10, 0),
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

        let low = [0x5633_0000_0000..0x5633_0100_0000, 0x7FFE_0000_0000..0x7FFE_0000_1000];
        for (next, hidden) in [(0x10_8000_0000_u64, 0x001A_001A_u64), (0x5633_0000_0000, 0), (0, 0)] {
            let mut bytes = [0x5633_001A_001A_u64.to_le_bytes(), next.to_le_bytes()].concat();
            hide(&mut bytes, &low);
            assert_eq!(bytes[..8], hidden.to_le_bytes(), "{next:#x}");
        }
    }
}
