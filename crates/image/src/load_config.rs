//! The load configuration: the stack cookie and the Control Flow Guard pointers that a loader must fill.
//!
//! Layout: `IMAGE_LOAD_CONFIG_DIRECTORY64` of `winnt.h`. The structure grows with each compiler; its first field says
//! how much of it an image has, and a field beyond that is absent.

use object::LittleEndian as LE;
use object::pe;

use crate::bind::write_u64;
use crate::error::ImageError;
use crate::image::Image;

/// The cookie that an x64 linker leaves in the file: the loader must replace it.
pub const DEFAULT_COOKIE: u64 = 0x0000_2b99_2ddf_a232;

/// `GuardXFGCheckFunctionPointer`, `…DispatchFunctionPointer`, `…TableDispatchFunctionPointer`: offsets in bytes.
const XFG_SLOTS: [u32; 3] = [0x118, 0x120, 0x128];

/// The table of functions that may be called through a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardTable {
    /// Where the table begins.
    pub rva: u32,
    /// How many entries it has.
    pub count: u32,
    /// Bytes from one entry to the next: an RVA and the metadata that `GuardFlags` announces.
    pub stride: u32,
}

impl GuardTable {
    /// Returns the functions, in the order of the table.
    pub fn functions(self, image: &Image<'_>) -> impl Iterator<Item = u32> {
        let entry = move |index| image.read_u32(self.rva + index * self.stride);
        (0..self.count).map_while(entry)
    }
}

/// The facts of the load configuration that matter to a loader.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LoadConfig {
    /// `Size`: bytes of the structure that the image has.
    pub size: u32,
    /// RVA of the stack cookie (`SecurityCookie`).
    pub cookie: Option<u32>,
    /// RVA of the slot for the routine that checks the target in RCX (`GuardCFCheckFunctionPointer`).
    pub guard_check_slot: Option<u32>,
    /// RVA of the slot for the routine that checks and jumps to RAX (`GuardCFDispatchFunctionPointer`).
    pub guard_dispatch_slot: Option<u32>,
    /// RVAs of the slots for check, dispatch and table dispatch of the extended guard (XFG).
    pub xfg_slots: [Option<u32>; 3],
    /// `GuardFlags` (`IMAGE_GUARD_*`).
    pub guard_flags: u32,
    /// The guard's function table.
    pub guard_table: Option<GuardTable>,
}

/// What became of the stack cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CookieOutcome {
    /// The image has none.
    Absent,
    /// The file holds zero there: the image does not use it, and it is left alone.
    Unused,
    /// It was replaced.
    Written {
        /// What was there.
        previous: u64,
        /// What is there now.
        cookie: u64,
    },
}

impl Image<'_> {
    /// Returns the load configuration, if the image has one.
    ///
    /// # Errors
    ///
    /// [`ImageError::Directory`] when it lies outside the image, [`ImageError::LoadConfig`] when a pointer in it does.
    pub fn load_config(&self) -> Result<Option<LoadConfig>, ImageError> {
        let Some(directory) = self.directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG) else { return Ok(None) };
        let outside = |rva, size| ImageError::Directory { what: "load configuration", rva, size };
        let present = self.read_u32(directory.rva).ok_or_else(|| outside(directory.rva, 4))?;
        // Fields beyond the announced size are not the structure's: they read as zero, that is as absent.
        let known = present.min(size_of::<pe::ImageLoadConfigDirectory64>() as u32);
        let raw: pe::ImageLoadConfigDirectory64 =
            crate::raw::read_with(|buffer| self.read(directory.rva, buffer.get_mut(..known as usize)?))
                .ok_or_else(|| outside(directory.rva, known))?;
        let slot = |field, va| self.config_slot(field, va);

        let mut config = LoadConfig {
            size: present,
            cookie: slot("SecurityCookie", raw.security_cookie.get(LE))?,
            guard_check_slot: slot(
                "GuardCFCheckFunctionPointer",
                raw.guard_cf_check_function_pointer.get(LE),
            )?,
            guard_dispatch_slot: slot(
                "GuardCFDispatchFunctionPointer",
                raw.guard_cf_dispatch_function_pointer.get(LE),
            )?,
            xfg_slots: [None; 3],
            guard_flags: raw.guard_flags.get(LE).0,
            guard_table: None,
        };
        for (found, offset) in config.xfg_slots.iter_mut().zip(XFG_SLOTS) {
            if present >= offset + 8 {
                let va = directory.rva.checked_add(offset).and_then(|rva| self.read_u64(rva)).unwrap_or(0);
                *found = slot("GuardXFGFunctionPointer", va)?;
            }
        }
        let (va, count) = (raw.guard_cf_function_table.get(LE), raw.guard_cf_function_count.get(LE));
        if va != 0 && count != 0 {
            config.guard_table = Some(self.guard_table(va, count, config.guard_flags)?);
        }
        Ok(Some(config))
    }

    /// Turns the address of an 8-byte slot into its RVA; zero is no slot.
    fn config_slot(&self, field: &'static str, va: u64) -> Result<Option<u32>, ImageError> {
        if va == 0 {
            return Ok(None);
        }
        self.rva_of(va, 8).map(Some).ok_or(ImageError::LoadConfig { field, va })
    }

    fn guard_table(&self, va: u64, count: u64, flags: u32) -> Result<GuardTable, ImageError> {
        let outside = ImageError::LoadConfig { field: "GuardCFFunctionTable", va };
        let stride = 4 + (flags >> pe::IMAGE_GUARD_CF_FUNCTION_TABLE_SIZE_SHIFT);
        let size = count.checked_mul(u64::from(stride)).and_then(|size| u32::try_from(size).ok());
        let rva = size.and_then(|size| self.rva_of(va, size)).ok_or(outside)?;
        // Fits: the table's size in bytes does.
        Ok(GuardTable { rva, count: count as u32, stride })
    }
}

impl LoadConfig {
    /// Writes a new stack cookie into a loaded image, as the kernel does before it calls the entry point.
    ///
    /// `entropy` is any number; the cookie made of it has zero in its upper 16 bits, like all x64 cookies, and is
    /// neither zero nor the default.
    ///
    /// # Errors
    ///
    /// [`ImageError::Memory`] when the cookie lies outside `memory`.
    pub fn set_cookie(&self, memory: &mut [u8], entropy: u64) -> Result<CookieOutcome, ImageError> {
        let Some(rva) = self.cookie else { return Ok(CookieOutcome::Absent) };
        let given = memory.len() as u64;
        let slot = memory.get(rva as usize..).and_then(|tail| tail.first_chunk::<8>());
        let slot = slot.ok_or(ImageError::Memory { needed: u64::from(rva) + 8, given })?;
        let previous = u64::from_le_bytes(*slot);
        if previous == 0 {
            return Ok(CookieOutcome::Unused);
        }
        let cookie = match entropy & 0x0000_ffff_ffff_ffff {
            0 | DEFAULT_COOKIE => DEFAULT_COOKIE + 1,
            cookie => cookie,
        };
        write_u64(memory, rva, cookie)?;
        Ok(CookieOutcome::Written { previous, cookie })
    }

    /// Writes the addresses of the guard's routines into their slots, as far as the image has them. The extended
    /// guard's slots get the same routines, which ignore the type hash in R10.
    ///
    /// # Errors
    ///
    /// [`ImageError::Memory`] when a slot lies outside `memory`.
    pub fn set_guard(&self, memory: &mut [u8], check: u64, dispatch: u64) -> Result<(), ImageError> {
        let [xfg_check, xfg_dispatch, xfg_table] = self.xfg_slots;
        let slots = [
            (self.guard_check_slot, check),
            (self.guard_dispatch_slot, dispatch),
            (xfg_check, check),
            (xfg_dispatch, dispatch),
            (xfg_table, dispatch),
        ];
        for (slot, routine) in slots {
            if let Some(rva) = slot {
                write_u64(memory, rva, routine)?;
            }
        }
        Ok(())
    }
}
