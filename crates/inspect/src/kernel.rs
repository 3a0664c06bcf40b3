//! The kernel in an image: its address space, its place, its build, its modules.
//!
//! A crash dump names most of it in its header; a raw image names nothing, so it is searched for. Every fact says how
//! it was found, and what was not found says so.

use core::fmt;

use crate::debugger_data::DebuggerData;
use crate::locate;
use crate::memory::{KernelRange, Memory, MemoryExt as _, Missing, Physical};
use crate::memory_image::MemoryImage;
use crate::modules::{self, Broken, KernelModule, UnloadedModule};
use crate::pe::{PdbId, Pe};
use crate::root::{self, Root, RootFoundBy};
use crate::translate::{AddressSpace, canonical};
use crate::triage::Triage;

/// What the caller knows better than the image.
#[derive(Debug, Clone, Copy, Default)]
pub struct FindOptions {
    /// The page-table root to use.
    pub cr3: Option<u64>,
    /// The addresses that belong to the kernel.
    pub kernel_range: Option<KernelRange>,
}

/// How the place of the kernel image was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BaseFoundBy {
    /// `KernBase` of the debugger data block.
    DebuggerData,
    /// The first entry of the module list.
    ModuleList,
    /// Back from an address inside the image.
    CodeAddress,
    /// By searching for its headers.
    Search,
}

/// How the modules were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModulesFoundBy {
    /// The list whose head the dump header or the debugger data block names.
    Header,
    /// The list whose head was found in the kernel's data.
    KernelData,
    /// Image headers in memory: which of them are loaded is not known.
    ImageHeaders,
    /// The list of drivers in a triage dump.
    Triage,
}

/// How the build number was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildFoundBy {
    /// `MinorVersion` of the dump header.
    Header,
    /// The text that names the build, in the kernel image.
    BuildLab,
}

/// The build of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// The number, such as 19045.
    pub number: u32,
    /// How it was found.
    pub found_by: BuildFoundBy,
    /// `NtBuildLab`, where it was found. Its number may be older than that of the header: servicing moves one only.
    pub lab: Option<String>,
}

/// What could not be found or does not fit. Displays as one lowercase sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelNote {
    /// No page-table root was found.
    NoRoot,
    /// A page-table root was found, and no kernel image below it.
    NoKernel,
    /// The list of modules ends early.
    ModuleList {
        /// Why, as a sentence.
        why: String,
        /// How many modules were read.
        read: usize,
    },
    /// The list of modules was not found.
    NoModuleList,
    /// The kernel's own range was taken from the image.
    KernelRange {
        /// The range.
        range: KernelRange,
        /// Why.
        because: &'static str,
    },
    /// Which modules were unloaded is not known.
    NoUnloaded {
        /// Why.
        why: String,
    },
}

impl KernelNote {
    /// Returns whether a result may lack something because of this.
    pub fn is_partial(&self) -> bool {
        !matches!(self, Self::KernelRange { .. } | Self::NoUnloaded { .. })
    }

    /// Returns the next step, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoRoot | Self::NoKernel => Some(
                "if this is an image of Windows x64, give the page-table root (CR3 of the System process)",
            ),
            _ => None,
        }
    }
}

impl fmt::Display for KernelNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoot => f.write_str("no page tables of Windows x64 were found in the image"),
            Self::NoKernel => f.write_str("page tables were found, but no kernel image they map"),
            Self::ModuleList { why, read } => {
                write!(f, "the list of loaded modules is incomplete: after {read} modules, {why}")
            }
            Self::NoModuleList => f.write_str("the list of loaded modules was not found"),
            Self::KernelRange { range, because } => {
                write!(f, "kernel addresses are {:#x} to {:#x}, because {because}", range.first, range.last)
            }
            Self::NoUnloaded { why } => write!(f, "unloaded modules are not known: {why}"),
        }
    }
}

/// Virtual memory of the kernel.
enum View<'i> {
    Space(AddressSpace<'i>),
    Triage(&'i Triage, KernelRange),
    Nothing(KernelRange),
}

/// The kernel of an image.
pub struct Kernel<'i> {
    view: View<'i>,
    /// Physical address of the top page table and how it was found.
    pub root: Option<(u64, RootFoundBy)>,
    /// The kernel image and how it was found. Its headers may be missing although its place is known.
    pub base: Option<(u64, BaseFoundBy)>,
    /// The kernel image's headers.
    pub image: Option<Pe>,
    /// The build.
    pub build: Option<Build>,
    /// Identity of the kernel's symbols, or why it is not there.
    pub pdb: Result<Option<PdbId>, Missing>,
    /// Loaded modules in load order, or by address where they were searched for.
    pub modules: Vec<KernelModule>,
    /// How they were found.
    pub modules_found_by: Option<ModulesFoundBy>,
    /// Unloaded modules; `None` when the image does not tell.
    pub unloaded: Option<Vec<UnloadedModule>>,
    /// Addresses of kernel globals, where the image has them in plain.
    pub debugger_data: Option<DebuggerData>,
    /// What could not be found or does not fit.
    pub notes: Vec<KernelNote>,
}

impl<'i> Kernel<'i> {
    /// Finds the kernel of an image. What is not found is `None` or empty, and a note says so.
    pub fn find(image: &'i MemoryImage, options: FindOptions) -> Self {
        match (image.physical(), image.triage()) {
            (Some(physical), _) => Finder { image, physical, options, notes: Vec::new() }.find(),
            (None, Some(triage)) => Self::of_triage(image, triage, options),
            (None, None) => Self::nothing(options.kernel_range.unwrap_or_default()),
        }
    }

    fn nothing(range: KernelRange) -> Self {
        Self::with_view(View::Nothing(range))
    }

    fn with_view(view: View<'i>) -> Self {
        Self {
            view,
            root: None,
            base: None,
            image: None,
            build: None,
            pdb: Ok(None),
            modules: Vec::new(),
            modules_found_by: None,
            unloaded: None,
            debugger_data: None,
            notes: Vec::new(),
        }
    }

    /// Returns the kernel's virtual memory.
    pub fn memory(&self) -> &dyn Memory {
        match &self.view {
            View::Space(space) => space,
            other => other,
        }
    }

    /// Returns the address space; `None` for a triage dump, and when no page-table root was found.
    pub fn space(&self) -> Option<&AddressSpace<'i>> {
        match &self.view {
            View::Space(space) => Some(space),
            _ => None,
        }
    }

    /// Returns the loaded module an address lies in.
    pub fn module_of(&self, address: u64) -> Option<&KernelModule> {
        self.modules.iter().find(|module| module.contains(address))
    }

    fn of_triage(image: &'i MemoryImage, triage: &'i Triage, options: FindOptions) -> Self {
        let mut kernel = Self::with_view(View::Triage(triage, options.kernel_range.unwrap_or_default()));
        kernel.debugger_data = DebuggerData::from_bytes(&triage.debugger_data);
        kernel.modules = triage
            .drivers
            .iter()
            .map(|driver| {
                let unnamed = Missing { address: driver.base, why: crate::memory::Why::NotInImage };
                let path = driver.name.clone().ok_or(unnamed);
                let name = path.clone().map(|path| path.rsplit('\\').next().unwrap_or_default().to_owned());
                KernelModule {
                    base: driver.base,
                    size: driver.size,
                    name,
                    path,
                    timestamp: driver.timestamp,
                    entry: None,
                }
            })
            .collect();
        kernel.modules_found_by = (!kernel.modules.is_empty()).then_some(ModulesFoundBy::Triage);
        kernel.base = match kernel.debugger_data {
            Some(data) if data.kern_base != 0 => Some((data.kern_base, BaseFoundBy::DebuggerData)),
            _ => kernel.modules.first().map(|module| (module.base, BaseFoundBy::ModuleList)),
        };
        kernel.take_image();
        kernel.take_build(image);
        kernel
    }

    /// Reads the headers at the kernel's base.
    fn take_image(&mut self) {
        let Some((base, _)) = self.base else { return };
        let image = Pe::read(self.memory(), base).ok();
        if let Some(image) = &image {
            self.pdb = image.pdb(self.memory());
        }
        self.image = image;
    }

    fn take_build(&mut self, image: &MemoryImage) {
        let lab_at = self.debugger_data.map(|data| data.nt_build_lab).filter(|&at| at != 0);
        let mut lab = lab_at
            .map(|at| crate::fields::text(&self.memory().bytes(at, 128).0))
            .filter(|lab| locate::build_number(lab).is_some());
        let header = image.header().map(|header| header.build).filter(|&build| build != 0);
        if let (None, None, Some(space), Some(pe)) = (&lab, header, self.space(), &self.image) {
            lab = locate::build_lab(space, pe);
        }
        let number = header.map(|number| (number, BuildFoundBy::Header));
        let number = number
            .or_else(|| lab.as_deref().and_then(locate::build_number).map(|n| (n, BuildFoundBy::BuildLab)));
        self.build = number.map(|(number, found_by)| Build { number, found_by, lab });
    }
}

impl Memory for View<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), crate::memory::PartialRead> {
        match self {
            Self::Space(space) => space.read(address, buffer),
            Self::Triage(triage, _) => triage.read(address, buffer),
            Self::Nothing(_) => Err(crate::memory::PartialRead {
                read: 0,
                missing: Missing { address, why: crate::memory::Why::NotInImage },
            }),
        }
    }

    fn kernel_range(&self) -> KernelRange {
        match self {
            Self::Space(space) => space.kernel_range(),
            Self::Triage(_, range) | Self::Nothing(range) => *range,
        }
    }

    fn physical_of(&self, address: u64) -> Option<u64> {
        match self {
            Self::Space(space) => space.physical_of(address),
            _ => None,
        }
    }
}

/// The search in physical memory.
struct Finder<'i> {
    image: &'i MemoryImage,
    physical: &'i dyn Physical,
    options: FindOptions,
    notes: Vec<KernelNote>,
}

/// What a page-table root leads to.
struct Found {
    base: u64,
    found_by: BaseFoundBy,
}

impl<'i> Finder<'i> {
    fn find(mut self) -> Kernel<'i> {
        let Some((root, found)) = self.root() else {
            let mut kernel = Kernel::nothing(self.options.kernel_range.unwrap_or_default());
            kernel.notes.push(KernelNote::NoRoot);
            return kernel;
        };
        let space = self.space(root);
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
        match debugger_data.map(|data| data.mm_unloaded_drivers).filter(|&at| at != 0) {
            None => {
                let why = "the image has no debugger data block in plain".to_owned();
                self.notes.push(KernelNote::NoUnloaded { why });
            }
            Some(at) => match modules::unloaded(kernel.memory(), at) {
                Ok(unloaded) => kernel.unloaded = Some(unloaded),
                Err(missing) => self.notes.push(KernelNote::NoUnloaded { why: missing.to_string() }),
            },
        }
        kernel.notes = self.notes;
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
        // A dump's header is believed even where the kernel's own pages are not in the dump.
        if let Some(&first) = named.first()
            && matches!(first.found_by, RootFoundBy::Given | RootFoundBy::Header)
        {
            return Some((first, None));
        }
        let mut fallback = named.first().copied();
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

    /// Returns the address space below a root, with the range of kernel addresses.
    fn space(&mut self, root: Root) -> AddressSpace<'i> {
        let (range, because) = self.range(root);
        if let Some(because) = because {
            self.notes.push(KernelNote::KernelRange { range, because });
        }
        AddressSpace::new(self.physical, root.cr3, range)
    }

    /// Returns the range of kernel addresses, and why if it is not the upper half.
    fn range(&self, root: Root) -> (KernelRange, Option<&'static str>) {
        /// The last address of the lower half.
        const LOWER_LAST: u64 = 0x0000_7FFF_FFFF_FFFF;
        /// Where no kernel begins: user addresses of a machine whose kernel lies in the lower half.
        const ABOVE_USER: u64 = 0x1_0000_0000;
        if let Some(range) = self.options.kernel_range {
            return (range, None);
        }
        let upper = (KernelRange::UPPER_HALF, None);
        let Some(header) = self.image.header() else { return upper };
        let list = header.ps_loaded_module_list;
        if list == 0 || KernelRange::UPPER_HALF.contains(list) || !canonical(list) {
            return upper;
        }
        let space = AddressSpace::new(self.physical, root.cr3, KernelRange::UPPER_HALF);
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
    fn kernel_below(&self, root: Root) -> Option<Found> {
        let (range, _) = self.range(root);
        let space = AddressSpace::new(self.physical, root.cr3, range);
        let data = self.debugger_data(&space);
        let found = |base, found_by| Some(Found { base, found_by });
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
        let base =
            locate::images(&space).into_iter().find(|&base| locate::kernel_at(&space, base).is_some())?;
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
        kernel.modules = locate::images(space)
            .into_iter()
            .filter_map(|base| {
                let pe = Pe::read(space, base).ok()?;
                let unnamed = Missing { address: base, why: crate::memory::Why::NotInImage };
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
