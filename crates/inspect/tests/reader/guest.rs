//! A tiny machine with a kernel, by hand: page tables, two images, a module list, a debugger data block.
//!
//! Offsets are literal and come from public descriptions (Intel SDM, "PE Format", `WDBGEXTS.H`, `KLDR_DATA_TABLE_ENTRY`).

use std::collections::BTreeMap;

/// Where the kernel image lies; the other pages follow it in virtual memory.
pub(crate) const KERNEL: u64 = 0xFFFF_F800_0000_0000;
/// `PsLoadedModuleList`.
pub(crate) const LIST: u64 = KERNEL + 0x1100;
/// `KdDebuggerDataBlock`.
pub(crate) const KDBG: u64 = KERNEL + 0x1200;
/// Where the driver lies.
pub(crate) const DRIVER: u64 = KERNEL + 0x3000;
/// CR3.
pub(crate) const ROOT: u64 = 0x1000;
/// The interrupt descriptor table.
pub(crate) const IDT: u64 = KERNEL + 0x4000;

/// Pages of guest memory by physical address.
#[derive(Clone, Default)]
pub(crate) struct Guest(pub(crate) BTreeMap<u64, Vec<u8>>);

impl Guest {
    /// Writes bytes, adding pages.
    pub(crate) fn write(&mut self, address: u64, bytes: &[u8]) {
        for (at, &byte) in (address..).zip(bytes) {
            let page = self.0.entry(at & !0xFFF).or_insert_with(|| vec![0; 0x1000]);
            page[(at & 0xFFF) as usize] = byte;
        }
    }

    pub(crate) fn u16(&mut self, address: u64, value: u16) {
        self.write(address, &value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, address: u64, value: u32) {
        self.write(address, &value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, address: u64, value: u64) {
        self.write(address, &value.to_le_bytes());
    }

    fn text16(&mut self, address: u64, text: &str) {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        self.write(address, &bytes);
    }

    /// Writes a `UNICODE_STRING` whose text lies elsewhere.
    fn unicode(&mut self, at: u64, text: &str, physical: u64, address: u64) {
        let length = text.len() as u16 * 2;
        self.u16(at, length);
        self.u16(at + 2, length);
        self.u64(at + 8, address);
        self.text16(physical, text);
    }

    /// The machine.
    pub(crate) fn new() -> Self {
        let mut guest = Self::default();
        // The tables: PXE 0x1F0, self-map in 0x1ED, then the first entry of each.
        guest.u64(0x1000 + 0x1F0 * 8, 0x2063);
        guest.u64(0x1000 + 0x1ED * 8, 0x1063);
        guest.u64(0x2000, 0x3063);
        guest.u64(0x3000, 0x4063);
        for page in 0..6 {
            guest.u64(0x4000 + page * 8, 0x5063 + page * 0x1000);
        }
        // The last mapped page is the one that high memory holds.
        guest.u64(0x4000 + 5 * 8, 0x0123_4063);
        guest.write(0x0123_4000, &[0xA5; 0x1000]);

        guest.image(0x5000, "ntoskrnl.exe", 0x2000);
        guest.debug(0x5000, b"ntkrnlmp.pdb\0");
        guest.image(0x8000, "ring.sys", 0x1000);
        guest.kernel_data();

        // A processor start block and an interrupt descriptor table.
        guest.u64(0x9000, 0x0000_0001_0006_49E9);
        guest.u64(0x9070, KERNEL + 0x500);
        guest.u64(0x90A0, ROOT);
        let handler = KERNEL + 0x540;
        guest.u16(0x9000 + 0x800, 0);
        let gate = 0x9000 + 3 * 16 + 0x400;
        guest.u16(gate, handler as u16);
        guest.u16(gate + 6, (handler >> 16) as u16);
        guest.u32(gate + 8, (handler >> 32) as u32);
        guest
    }

    /// Writes the headers of an image with one code and one data section and an export directory.
    fn image(&mut self, at: u64, name: &str, size: u32) {
        self.write(at, b"MZ");
        self.u32(at + 0x3C, 0x80);
        self.write(at + 0x80, b"PE\0\0");
        self.u16(at + 0x84, 0x8664);
        self.u16(at + 0x86, 2); // NumberOfSections
        self.u32(at + 0x88, 0x5F5E_0FF1); // TimeDateStamp
        self.u16(at + 0x94, 0xF0); // SizeOfOptionalHeader
        self.u16(at + 0x98, 0x20B);
        self.u32(at + 0xA8, 0x500); // AddressOfEntryPoint
        self.u32(at + 0xD0, size); // SizeOfImage
        self.u32(at + 0x104, 16); // NumberOfRvaAndSizes
        self.u32(at + 0x108, 0x600); // export directory
        self.u32(at + 0x10C, 0x100);
        self.write(at + 0x188, b".text\0\0\0");
        self.u32(at + 0x190, 0x1000);
        self.u32(at + 0x194, 0);
        self.u32(at + 0x1AC, 0x6000_0020);
        self.write(at + 0x1B0, b".data\0\0\0");
        self.u32(at + 0x1B8, size - 0x1000);
        self.u32(at + 0x1BC, 0x1000);
        self.u32(at + 0x1D4, 0xC000_0040);
        self.u32(at + 0x600 + 12, 0x680); // the name
        self.u32(at + 0x600 + 24, 2); // NumberOfNames
        self.u32(at + 0x600 + 28, 0x640);
        self.u32(at + 0x600 + 32, 0x648);
        self.u32(at + 0x600 + 36, 0x650);
        self.u32(at + 0x640, 0x540);
        self.u32(at + 0x644, 0x520);
        self.u32(at + 0x648, 0x6C0);
        self.u32(at + 0x64C, 0x6D0);
        self.u16(at + 0x650, 0);
        self.u16(at + 0x652, 1);
        self.write(at + 0x680, name.as_bytes());
        self.write(at + 0x6C0, b"Second\0");
        self.write(at + 0x6D0, b"First\0");
    }

    /// Writes a debug directory with an `RSDS` record.
    fn debug(&mut self, at: u64, name: &[u8]) {
        self.u32(at + 0x138, 0x700);
        self.u32(at + 0x13C, 28);
        self.u32(at + 0x700 + 12, 2);
        self.u32(at + 0x700 + 16, 24 + name.len() as u32);
        self.u32(at + 0x700 + 20, 0x740);
        self.write(at + 0x740, b"RSDS");
        self.write(
            at + 0x744,
            &[0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 9, 10, 11, 12, 13, 14, 15, 16],
        );
        self.u32(at + 0x754, 1);
        self.write(at + 0x758, name);
    }

    /// Writes the list of modules, the debugger data block, the build lab and the unloaded drivers.
    fn kernel_data(&mut self) {
        let (first, second) = (KERNEL + 0x2000, KERNEL + 0x2100);
        self.u64(0x6100, first);
        self.u64(0x6108, second);
        self.u64(0x7000, second);
        self.u64(0x7008, LIST);
        self.u64(0x7100, LIST);
        self.u64(0x7108, first);
        self.u64(0x7030, KERNEL);
        self.u32(0x7040, 0x2000);
        self.unicode(0x7048, "\\SystemRoot\\system32\\ntoskrnl.exe", 0x7200, KERNEL + 0x2200);
        self.unicode(0x7058, "ntoskrnl.exe", 0x7260, KERNEL + 0x2260);
        self.u64(0x7130, DRIVER);
        self.u32(0x7140, 0x1000);
        self.unicode(0x7148, "\\??\\C:\\ring.sys", 0x7280, KERNEL + 0x2280);
        self.unicode(0x7158, "ring.sys", 0x72C0, KERNEL + 0x22C0);
        // KDDEBUGGER_DATA64
        self.write(0x6210, b"KDBG");
        self.u32(0x6214, 0x380);
        self.u64(0x6218, KERNEL);
        self.u64(0x6248, LIST);
        self.u64(0x6298, KERNEL + 0x1700);
        self.u64(0x6408, KERNEL + 0x1902); // NtBuildLab
        self.u64(0x6420, KERNEL + 0x1800); // MmUnloadedDrivers
        self.u64(0x6800, KERNEL + 0x2400);
        self.write(0x6902, b"19041.1.amd64fre.vb_release.191206-1406\0");
        self.unicode(0x7400, "gone.sys", 0x7300, KERNEL + 0x2300);
        self.u64(0x7410, 0xFFFF_F800_1111_0000);
        self.u64(0x7418, 0xFFFF_F800_1112_0000);
        self.u64(0x7420, 0x01DA_0000_0000_0000);
    }

    /// Physical memory as runs of pages: first page and bytes.
    pub(crate) fn runs(&self) -> Vec<(u64, Vec<u8>)> {
        let mut runs: Vec<(u64, Vec<u8>)> = Vec::new();
        for (&address, page) in &self.0 {
            match runs.last_mut() {
                Some((first, bytes)) if *first + bytes.len() as u64 == address => {
                    bytes.extend_from_slice(page);
                }
                _ => runs.push((address, page.clone())),
            }
        }
        runs
    }
}
