//! One section of an image, and what its flags ask of the loader.

/// The characteristics of a section (`IMAGE_SCN_*`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionFlags(pub u32);

impl SectionFlags {
    /// `IMAGE_SCN_CNT_CODE`.
    pub const CODE: u32 = 0x0000_0020;
    /// `IMAGE_SCN_MEM_DISCARDABLE`.
    pub const DISCARDABLE: u32 = 0x0200_0000;
    /// `IMAGE_SCN_MEM_NOT_PAGED`.
    pub const NOT_PAGED: u32 = 0x0800_0000;
    /// `IMAGE_SCN_MEM_EXECUTE`.
    pub const EXECUTE: u32 = 0x2000_0000;
    /// `IMAGE_SCN_MEM_READ`.
    pub const READ: u32 = 0x4000_0000;
    /// `IMAGE_SCN_MEM_WRITE`.
    pub const WRITE: u32 = 0x8000_0000;

    /// Whether the section is readable.
    pub fn readable(self) -> bool {
        self.0 & Self::READ != 0
    }

    /// Whether the section is writable.
    pub fn writable(self) -> bool {
        self.0 & Self::WRITE != 0
    }

    /// Whether the section is executable.
    pub fn executable(self) -> bool {
        self.0 & Self::EXECUTE != 0
    }

    /// Whether the kernel may free the section once `DriverEntry` has returned.
    pub fn discardable(self) -> bool {
        self.0 & Self::DISCARDABLE != 0
    }
}

/// One section, checked: its data lies in the file and its range in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Section {
    /// Its name; the full one when the linker put it into the string table.
    pub name: String,
    /// Where it begins in memory, relative to the image.
    pub rva: u32,
    /// `VirtualSize` in bytes, as the header says; zero means the raw size.
    pub virtual_size: u32,
    /// Bytes it takes in memory: its size rounded up to the section alignment.
    pub span: u32,
    /// Where its data begins in the file.
    pub file_offset: u32,
    /// Bytes of data in the file that are loaded; the rest of the span is zeros.
    pub file_size: u32,
    /// What it asks for.
    pub flags: SectionFlags,
}

impl Section {
    /// Whether an RVA lies in the section (in its span, the alignment padding included).
    pub fn contains(&self, rva: u32) -> bool {
        rva.checked_sub(self.rva).is_some_and(|offset| offset < self.span)
    }

    /// Returns the RVA behind the section's span.
    pub fn end(&self) -> u32 {
        // Checked when the section was read.
        self.rva + self.span
    }

    /// Whether the driver marked it pageable: by the convention of the kernel, a name that begins with `PAGE`.
    pub fn pageable(&self) -> bool {
        self.name.starts_with("PAGE") && self.flags.0 & SectionFlags::NOT_PAGED == 0
    }

    /// Whether it is an `INIT` section that the kernel frees once `DriverEntry` has returned.
    pub fn is_init(&self) -> bool {
        self.name.starts_with("INIT") && self.flags.discardable()
    }
}
