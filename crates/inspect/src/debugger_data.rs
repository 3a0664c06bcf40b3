//! `KDDEBUGGER_DATA64`: the block in which the kernel tells debuggers where its globals are.
//!
//! The layout is public (`WDBGEXTS.H`). Since Windows 8 the block is encoded in memory while the system runs; in a
//! crash dump it is plain. A raw image therefore usually has none.

use crate::fields::{u32_at, u64_at};
use crate::memory::{Memory, MemoryExt as _};

/// The part of the block that is read.
const SIZE: usize = 0x230;

/// Addresses of kernel globals. Zero where the block is too short to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DebuggerData {
    /// `KernBase`: where the kernel image lies.
    pub kern_base: u64,
    /// `PsLoadedModuleList`: the list's head.
    pub ps_loaded_module_list: u64,
    /// `ObpRootDirectoryObject`: the variable that points to the root directory.
    pub obp_root_directory_object: u64,
    /// `ObpTypeObjectType`: the variable that points to the type of types.
    pub obp_type_object_type: u64,
    /// `MmSystemRangeStart`: the variable that holds the first kernel address.
    pub mm_system_range_start: u64,
    /// `NtBuildLab`: the text that names the build.
    pub nt_build_lab: u64,
    /// `MmUnloadedDrivers`: the variable that points to the array of unloaded drivers.
    pub mm_unloaded_drivers: u64,
}

impl DebuggerData {
    /// Takes the bytes of the block; `None` without its owner tag.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.get(0x10..0x14) != Some(b"KDBG") {
            return None;
        }
        // What lies behind the size the block gives belongs to something else.
        let size = (u32_at(bytes, 0x14) as usize).min(bytes.len());
        let field = |at: usize| if at + 8 <= size { u64_at(bytes, at) } else { 0 };
        Some(Self {
            kern_base: field(0x18),
            ps_loaded_module_list: field(0x48),
            obp_root_directory_object: field(0x98),
            obp_type_object_type: field(0xA0),
            mm_system_range_start: field(0x1D0),
            nt_build_lab: field(0x208),
            mm_unloaded_drivers: field(0x220),
        })
    }

    /// Reads the block at an address.
    pub(crate) fn read(memory: &dyn Memory, address: u64) -> Option<Self> {
        let (bytes, _) = memory.bytes(address, SIZE);
        Self::from_bytes(&bytes)
    }
}
