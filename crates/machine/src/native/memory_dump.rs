//! The parent's side of a dump: asks the kernel process for its memory and writes it.

use std::io::Write;

use super::machine::Machine;
use super::memory;
use crate::MachineError;
use crate::dump::{Facts, Pages, write};
use crate::plan::{self, PAGE};
use crate::wire::{Accessible, Command, Reply};

/// Bytes asked for at a time.
const PIECE: u64 = 1 << 20;

/// Most memory a dump may have: far above what the plan's regions ever hold, and no more than a host should lose to a
/// kernel process that lies.
const MOST: u64 = 4 << 30;

impl Machine {
    /// Writes the machine as a Windows crash dump: its memory as it is now, with page tables, header and debugger data. See
    /// [`crate::dump`].
    ///
    /// # Errors
    ///
    /// Fails where the machine has ended, or ends, and where `out` fails.
    pub fn dump(&mut self, out: &mut impl Write) -> Result<(), MachineError> {
        let Reply::Regions { now } = self.ask(&Command::Regions)? else {
            return Err(self.confused());
        };
        let regions = memory::accessible(self.process_id()).map_err(MachineError::Write)?;
        if !plausible(&regions) {
            return Err(self.confused());
        }
        let mut pages = Vec::with_capacity(regions.len());
        for region in regions {
            pages.push(self.read(region)?);
        }
        let facts = self.facts(now);
        write(&pages, &facts, out).map_err(MachineError::Write)
    }

    fn read(&mut self, region: Accessible) -> Result<Pages, MachineError> {
        let mut bytes = Vec::new();
        for offset in (0..region.size).step_by(PIECE as usize) {
            let length = PIECE.min(region.size - offset) as u32;
            let piece = self.ask(&Command::Read { address: region.base + offset, bytes: length })?;
            match piece {
                Reply::Bytes(piece) if piece.len() == length as usize => bytes.extend(piece),
                _ => return Err(self.confused()),
            }
        }
        Ok(Pages { base: region.base, write: region.write, execute: region.execute, bytes })
    }

    fn facts(&self, up_time: u64) -> Facts {
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
            bugcheck: 0,
            parameters: [0; 4],
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
