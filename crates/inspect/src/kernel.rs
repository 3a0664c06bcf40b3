//! The kernel in an image: its address space, its place, its build, its modules.
//!
//! A crash dump names most of it in its header; a raw image names nothing, so it is searched for. Every fact says how
//! it was found, and what was not found says so.

use core::fmt;

use crate::debugger_data::DebuggerData;
use crate::fields::text;
use crate::find::Symbols;
use crate::finder::Finder;
use crate::locate;
use crate::memory::{KernelRange, Memory, MemoryExt as _, Missing, PartialRead, Why};
use crate::memory_image::MemoryImage;
use crate::modules::{self, KernelModule, UnloadedModule};
use crate::pe::{PdbId, Pe};
use crate::root::RootFoundBy;
use crate::translate::AddressSpace;
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
    /// The page tables have five levels.
    FiveLevels,
    /// Which modules were unloaded is not known.
    NoUnloaded {
        /// Why.
        why: String,
    },
}

impl KernelNote {
    /// Returns whether a result may lack something because of this.
    pub fn is_partial(&self) -> bool {
        !matches!(self, Self::KernelRange { .. } | Self::FiveLevels | Self::NoUnloaded { .. })
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
            Self::FiveLevels => f.write_str(
                "the page tables have five levels (LA57): read with five they lead to a kernel image, with four to none",
            ),
            Self::NoUnloaded { why } => write!(f, "unloaded modules are not known: {why}"),
        }
    }
}

/// Virtual memory of the kernel.
pub(crate) enum View<'i> {
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
            (Some(physical), _) => Finder::new(image, physical, options).find(),
            (None, Some(triage)) => Self::of_triage(image, triage, options),
            (None, None) => Self::nothing(options.kernel_range.unwrap_or_default()),
        }
    }

    pub(crate) fn nothing(range: KernelRange) -> Self {
        Self::with_view(View::Nothing(range))
    }

    pub(crate) fn with_view(view: View<'i>) -> Self {
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

    /// Reads what needs the kernel's symbols: which modules were unloaded, where the debugger data block does not say.
    pub fn use_symbols(&mut self, symbols: &dyn Symbols) {
        let Some(at) = symbols.global("MmUnloadedDrivers").filter(|_| self.unloaded.is_none()) else {
            return;
        };
        self.notes.retain(|note| !matches!(note, KernelNote::NoUnloaded { .. }));
        self.take_unloaded(at);
    }

    /// Reads the unloaded modules, given the address of the variable that points to them.
    pub(crate) fn take_unloaded(&mut self, variable: u64) {
        match modules::unloaded(self.memory(), variable) {
            Ok(unloaded) => self.unloaded = Some(unloaded),
            Err(missing) => self.notes.push(KernelNote::NoUnloaded { why: missing.to_string() }),
        }
    }

    fn of_triage(image: &'i MemoryImage, triage: &'i Triage, options: FindOptions) -> Self {
        let mut kernel = Self::with_view(View::Triage(triage, options.kernel_range.unwrap_or_default()));
        kernel.debugger_data = DebuggerData::from_bytes(&triage.debugger_data);
        kernel.modules = triage
            .drivers
            .iter()
            .map(|driver| {
                let unnamed = Missing { address: driver.base, why: Why::NotInImage };
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
        kernel.unloaded.clone_from(&triage.unloaded);
        if kernel.unloaded.is_none() {
            kernel.notes.push(KernelNote::NoUnloaded { why: "the dump has no list of them".to_owned() });
        }
        kernel.base = match kernel.debugger_data {
            Some(data) if data.kern_base != 0 => Some((data.kern_base, BaseFoundBy::DebuggerData)),
            _ => kernel.modules.first().map(|module| (module.base, BaseFoundBy::ModuleList)),
        };
        kernel.take_image();
        kernel.take_build(image);
        kernel
    }

    /// Reads the headers at the kernel's base.
    pub(crate) fn take_image(&mut self) {
        let Some((base, _)) = self.base else { return };
        let image = Pe::read(self.memory(), base).ok();
        if let Some(image) = &image {
            self.pdb = image.pdb(self.memory());
        }
        self.image = image;
    }

    pub(crate) fn take_build(&mut self, image: &MemoryImage) {
        let lab_at = self.debugger_data.map(|data| data.nt_build_lab).filter(|&at| at != 0);
        let mut lab = lab_at
            .map(|at| text(&self.memory().bytes(at, 128).0))
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
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), PartialRead> {
        match self {
            Self::Space(space) => space.read(address, buffer),
            Self::Triage(triage, _) => triage.read(address, buffer),
            Self::Nothing(_) => {
                Err(PartialRead { read: 0, missing: Missing { address, why: Why::NotInImage } })
            }
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
