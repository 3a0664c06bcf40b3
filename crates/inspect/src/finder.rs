//! The search for the kernel in physical memory.
//!
//! What is named (by the caller, a header, registers) is tried before what can be searched for, and a page-table root
//! counts as found when it leads to a kernel image.

use core::cell::Cell;

use crate::debugger_data::DebuggerData;
use crate::fields::u64_at;
use crate::kernel::{BaseFoundBy, FindOptions, Kernel, KernelNote, ModulesFoundBy, View};
use crate::locate;
use crate::memory::{KernelRange, Memory as _, MemoryExt as _, Missing, Physical, Why};
use crate::memory_image::MemoryImage;
use crate::modules::{self, Broken, KernelModule};
use crate::pe::Pe;
use crate::root::{self, Root, RootFoundBy};
use crate::translate::{AddressSpace, Paging};

/// The search in physical memory.
pub(crate) struct Finder<'i> {
    image: &'i MemoryImage,
    physical: &'i dyn Physical,
    options: FindOptions,
    notes: Vec<KernelNote>,
    /// How many more looks the search for the kernel's headers may take, whatever roots are tried.
    looks: Cell<u64>,
}

/// What a page-table root leads to.
struct Found {
    paging: Paging,
    base: u64,
    found_by: BaseFoundBy,
}

impl<'i> Finder<'i> {
    pub(crate) fn new(image: &'i MemoryImage, physical: &'i dyn Physical, options: FindOptions) -> Self {
        Self { image, physical, options, notes: Vec::new(), looks: Cell::new(locate::MAX_LOOKS) }
    }

    /// Finds the kernel; what is not found is left empty, and a note says so.
    pub(crate) fn find(mut self) -> Kernel<'i> {
        let Some((root, found)) = self.root() else {
            let mut kernel = Kernel::nothing(self.options.kernel_range.unwrap_or_default());
            kernel.notes.push(KernelNote::NoRoot);
            return kernel;
        };
        let paging = found.as_ref().map_or(Paging::FourLevels, |found| found.paging);
        if paging == Paging::FiveLevels {
            self.notes.push(KernelNote::FiveLevels);
        }
        let space = self.space(root, paging);
        let debugger_data = self.debugger_data(&space);
        if found.is_none() {
            self.notes.push(KernelNote::NoKernel);
        }
        let mut kernel = Kernel::with_view(View::Space(space));
        kernel.root = Some((root.cr3 & !0xFFF, root.found_by));
        kernel.base = found.map(|found| (found.base, found.found_by));
        kernel.debugger_data = debugger_data;
        kernel.take_image();
        kernel.take_build(self.image);
        self.modules(&mut kernel);
        kernel.notes = self.notes;
        match debugger_data.map(|data| data.mm_unloaded_drivers).filter(|&at| at != 0) {
            Some(at) => kernel.take_unloaded(at),
            None => {
                let why = match debugger_data {
                    Some(_) => "the debugger data block does not say where they are noted",
                    None => "the image has no debugger data block in plain",
                };
                kernel.notes.push(KernelNote::NoUnloaded { why: why.to_owned() });
            }
        }
        kernel
    }

    /// Tries the roots that are named, then those that can be searched for; one that leads to a kernel wins.
    fn root(&mut self) -> Option<(Root, Option<Found>)> {
        let given = self.options.cr3.map(|cr3| Root {
            cr3,
            found_by: RootFoundBy::Given,
            kernel_hint: None,
            idt: None,
        });
        let named: Vec<Root> = match given {
            Some(root) => vec![root],
            None => self.image.roots().to_vec(),
        };
        for &root in &named {
            if let Some(found) = self.kernel_below(root) {
                return Some((root, Some(found)));
            }
        }
        let mut fallback = named.first().copied();
        // What the caller says, and a header whose tables are in the image, is believed even where the kernel's own
        // pages are not.
        if let Some(first) = fallback
            && (first.found_by == RootFoundBy::Given || self.maps_anything(first))
        {
            return Some((first, None));
        }
        if let Some(root) = root::low_stub(self.physical) {
            if let Some(found) = self.kernel_below(root) {
                return Some((root, Some(found)));
            }
            fallback = fallback.or(Some(root));
        }
        /// The most pages that map themselves that are tried.
        const MAX_TRIES: u32 = 16;
        let mut won = None;
        let mut tries = 0;
        root::self_map(self.physical, u64::MAX, &mut |root| {
            tries += 1;
            won = self.kernel_below(root).map(|found| (root, Some(found)));
            fallback = fallback.or(Some(root));
            won.is_some() || tries >= MAX_TRIES
        });
        won.or_else(|| fallback.map(|root| (root, None)))
    }

    /// Returns whether the top table names any table that the image holds, as the header of a real dump does.
    fn maps_anything(&self, root: Root) -> bool {
        let mut table = [0; 0x1000];
        root.found_by == RootFoundBy::Header
            && self.physical.read(root.cr3 & !0xFFF, &mut table).is_ok()
            && table.chunks_exact(8).any(|entry| {
                let entry = u64_at(entry, 0);
                entry & 1 != 0 && self.physical.contains(entry & 0x000F_FFFF_FFFF_F000)
            })
    }

    /// Returns the address space below a root, with the range of kernel addresses.
    fn space(&mut self, root: Root, paging: Paging) -> AddressSpace<'i> {
        let (range, because) = self.range(root, paging);
        if let Some(because) = because {
            self.notes.push(KernelNote::KernelRange { range, because });
        }
        AddressSpace::new(self.physical, root.cr3, paging, range)
    }

    /// Returns the range of kernel addresses, and why if it is not the upper half.
    fn range(&self, root: Root, paging: Paging) -> (KernelRange, Option<&'static str>) {
        /// The last address of the lower half.
        const LOWER_LAST: u64 = 0x0000_7FFF_FFFF_FFFF;
        /// Where no kernel begins: user addresses of a machine whose kernel lies in the lower half.
        const ABOVE_USER: u64 = 0x1_0000_0000;
        if let Some(range) = self.options.kernel_range {
            return (range, None);
        }
        let upper = (paging.upper_half(), None);
        let Some(header) = self.image.header() else { return upper };
        let list = header.ps_loaded_module_list;
        if list == 0 || paging.upper_half().contains(list) || !paging.is_canonical(list) {
            return upper;
        }
        let space = AddressSpace::new(self.physical, root.cr3, paging, KernelRange::UPPER_HALF);
        let start = DebuggerData::read(&space, header.kd_debugger_data_block)
            .filter(|data| data.mm_system_range_start != 0)
            .and_then(|data| space.u64(data.mm_system_range_start).ok())
            .filter(|start| (1..=list).contains(start));
        match start {
            Some(first) => {
                (KernelRange { first, last: LOWER_LAST }, Some("`MmSystemRangeStart` of the image says so"))
            }
            None => (
                KernelRange { first: ABOVE_USER.min(list), last: LOWER_LAST },
                Some("the head of its module list lies in the lower half"),
            ),
        }
    }

    fn debugger_data(&self, space: &AddressSpace<'_>) -> Option<DebuggerData> {
        let at = self.image.header()?.kd_debugger_data_block;
        DebuggerData::read(space, at)
    }

    /// Returns the head of the module list that the header or the debugger data block names.
    fn named_list(&self, data: Option<DebuggerData>) -> Option<u64> {
        let header = self.image.header().map(|header| header.ps_loaded_module_list);
        let data = data.map(|data| data.ps_loaded_module_list);
        header.filter(|&at| at != 0).or(data).filter(|&at| at != 0)
    }

    /// Finds the kernel image below a root.
    ///
    /// No dump header holds CR4, which says how many levels there are. Read with one level too few or too many, entries of one
    /// kind are taken for another and lead to no kernel image; so both are tried, the common one first.
    fn kernel_below(&self, root: Root) -> Option<Found> {
        [Paging::FourLevels, Paging::FiveLevels].into_iter().find_map(|paging| self.kernel_at(root, paging))
    }

    fn kernel_at(&self, root: Root, paging: Paging) -> Option<Found> {
        let (range, _) = self.range(root, paging);
        let space = AddressSpace::new(self.physical, root.cr3, paging, range);
        let data = self.debugger_data(&space);
        let found = |base, found_by| Some(Found { paging, base, found_by });
        if let Some(data) = data.filter(|data| range.contains(data.kern_base)) {
            return found(data.kern_base, BaseFoundBy::DebuggerData);
        }
        if let Some(head) = self.named_list(data) {
            let first = space.u64(head).and_then(|first| space.u64(first.wrapping_add(0x30)));
            if let Some(base) = first.ok().filter(|&base| range.contains(base)) {
                return found(base, BaseFoundBy::ModuleList);
            }
        }
        let inside = root.kernel_hint.or_else(|| locate::handler(&space, root.idt?));
        if let Some(pe) = inside.and_then(|inside| locate::back_from(&space, inside)) {
            return found(pe.base, BaseFoundBy::CodeAddress);
        }
        let base = locate::images(&space, &self.looks)
            .into_iter()
            .find(|&base| locate::kernel_at(&space, base).is_some())?;
        found(base, BaseFoundBy::Search)
    }

    /// Reads the modules: from the list that is named, the list that can be found, or the headers in memory.
    fn modules(&mut self, kernel: &mut Kernel<'_>) {
        let Some(space) = kernel.space() else { return };
        let range = space.kernel_range();
        let named = self.named_list(kernel.debugger_data).map(|head| (head, ModulesFoundBy::Header));
        let list = named.or_else(|| {
            let head = locate::module_list(space, kernel.image.as_ref()?)?;
            Some((head, ModulesFoundBy::KernelData))
        });
        if let Some((head, found_by)) = list {
            let (modules, broken) = modules::walk(space, head, range);
            if let Some(broken) = broken {
                self.notes.push(KernelNote::ModuleList { why: sentence(broken), read: modules.len() });
            }
            if !modules.is_empty() {
                kernel.modules = modules;
                kernel.modules_found_by = Some(found_by);
                return;
            }
        } else {
            self.notes.push(KernelNote::NoModuleList);
        }
        kernel.modules = locate::images(space, &Cell::new(locate::MAX_LOOKS))
            .into_iter()
            .filter_map(|base| {
                let pe = Pe::read(space, base).ok()?;
                let unnamed = Missing { address: base, why: Why::NotInImage };
                let name = pe.export_name(space).and_then(|name| name.ok_or(unnamed));
                let path = Err(unnamed);
                Some(KernelModule { base, size: pe.size, name, path, timestamp: pe.timestamp, entry: None })
            })
            .collect();
        kernel.modules_found_by = (!kernel.modules.is_empty()).then_some(ModulesFoundBy::ImageHeaders);
    }
}

fn sentence(broken: Broken) -> String {
    match broken {
        Broken::Missing(missing) => missing.to_string(),
        Broken::SeenBefore { at } => format!("the entry at {at:#x} appears a second time"),
        Broken::NotReciprocal { at } => format!("the entry at {at:#x} does not point back"),
        Broken::OutsideKernel { at } => format!("{at:#x} is no kernel address"),
        Broken::TooMany => "the limit was reached".to_owned(),
    }
}
