//! Every format gives the same machine: its pages, its kernel, its modules.

use ringbell_inspect::{
    BaseFoundBy, BuildFoundBy, DumpType, FindOptions, Format, Kernel, KernelNote, MemoryExt as _,
    MemoryImage, Missing, ModulesFoundBy, Note, Physical, RootFoundBy, Symbols, Why,
};

use crate::files::{self, File};
use crate::guest::{DRIVER, Guest, KERNEL, LIST, ROOT};

fn open(file: File) -> MemoryImage {
    MemoryImage::from_bytes(file.0).unwrap()
}

/// Checks that an image holds the guest's pages, byte for byte, and says what it lacks.
fn check_memory(image: &MemoryImage, guest: &Guest) {
    let physical = image.physical().unwrap();
    let mut page = vec![0; 0x1000];
    for (&address, bytes) in &guest.0 {
        physical.read(address, &mut page).unwrap();
        assert!(page == *bytes, "{address:#x}");
        assert!(physical.contains(address + 0xFFF));
    }
    assert_eq!(physical.end(), 0x0123_5000);
    let absent = Missing { address: 0x0200_0000, why: Why::NotInImage };
    assert_eq!(physical.read(0x0200_0000, &mut page).unwrap_err().missing, absent);
}

/// Collects the runs, joined where they touch.
fn runs(physical: &dyn Physical) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    let mut from = 0;
    while let Some(run) = physical.next_run(from) {
        from = run.end;
        match runs.last_mut() {
            Some(last) if last.1 == run.start => last.1 = run.end,
            _ => runs.push((run.start, run.end)),
        }
    }
    runs
}

/// Checks what is found below the kernel's page tables.
fn check_kernel(kernel: &Kernel<'_>) {
    assert_eq!(kernel.root.unwrap().0, ROOT);
    assert_eq!(kernel.base.unwrap().0, KERNEL);
    let modules: Vec<_> = kernel
        .modules
        .iter()
        .map(|module| (module.base, module.size, module.name.clone().unwrap(), module.path.clone().unwrap()))
        .collect();
    let nt = "\\SystemRoot\\system32\\ntoskrnl.exe".to_owned();
    let ring = "\\??\\C:\\ring.sys".to_owned();
    assert_eq!(
        modules,
        [(KERNEL, 0x2000, "ntoskrnl.exe".into(), nt), (DRIVER, 0x1000, "ring.sys".into(), ring)]
    );
    assert_eq!(kernel.module_of(DRIVER + 0xFFF).unwrap().base, DRIVER);
    assert!(kernel.module_of(DRIVER + 0x1000).is_none());
    let pdb = kernel.pdb.clone().unwrap().unwrap();
    assert_eq!(pdb.key(), "4433221166558877090A0B0C0D0E0F101");
    assert_eq!(
        pdb.url(),
        "https://msdl.microsoft.com/download/symbols/ntkrnlmp.pdb/4433221166558877090A0B0C0D0E0F101/ntkrnlmp.pdb"
    );
    let pe = kernel.image.as_ref().unwrap();
    assert_eq!(pe.exports(kernel.memory()).unwrap(), [(0x520, "First".into()), (0x540, "Second".into())]);
    assert!(pe.section(0x540).unwrap().is_executable());
    assert!(pe.section(0x1100).unwrap().is_writable());
    assert_eq!(kernel.memory().u8(KERNEL + 0x5123), Ok(0xA5));
}

/// Checks a dump, whose header names what there is.
fn check_dump(image: &MemoryImage, dump_type: DumpType) {
    assert_eq!(image.format(), Format::Dump(dump_type));
    assert_eq!(image.notes(), []);
    check_memory(image, &Guest::new());
    assert_eq!(runs(image.physical().unwrap()), [(0x1000, 0xA000), (0x0123_4000, 0x0123_5000)]);
    let header = image.header().unwrap();
    assert_eq!((header.build, header.processors, header.bugcheck), (19045, 1, 0xE2));
    assert_eq!(header.bugcheck_parameters, [1, 2, 3, 4]);
    assert_eq!((header.system_time, header.up_time), (0x01DA_1234_5678_9ABC, 600_000_000));
    assert_eq!(header.comment, "");
    let kernel = Kernel::find(image, FindOptions::default());
    assert_eq!(kernel.notes, []);
    check_kernel(&kernel);
    assert_eq!(kernel.root.unwrap().1, RootFoundBy::Header);
    assert_eq!(kernel.base.unwrap().1, BaseFoundBy::DebuggerData);
    assert_eq!(kernel.modules_found_by, Some(ModulesFoundBy::Header));
    let build = kernel.build.clone().unwrap();
    assert_eq!((build.number, build.found_by), (19045, BuildFoundBy::Header));
    assert_eq!(build.lab.unwrap(), "19041.1.amd64fre.vb_release.191206-1406");
    let unloaded = kernel.unloaded.unwrap();
    assert_eq!(unloaded.len(), 1);
    assert_eq!(unloaded[0].name, Ok("gone.sys".to_owned()));
    assert_eq!((unloaded[0].start, unloaded[0].end), (0xFFFF_F800_1111_0000, 0xFFFF_F800_1112_0000));
}

#[test]
fn full_dump() {
    check_dump(&open(files::full(&Guest::new())), DumpType::Full);
}

#[test]
fn bitmap_dump() {
    check_dump(&open(files::bitmap(&Guest::new(), 5)), DumpType::Bitmap);
    let mut by_hand = files::bitmap(&Guest::new(), 5);
    by_hand.write(0x2000, b"FDMP");
    check_dump(&open(by_hand), DumpType::Bitmap);
}

#[test]
fn live_kernel_dump() {
    check_dump(&open(files::bitmap(&Guest::new(), 6)), DumpType::LiveKernel);
}

#[test]
fn kernel_dump() {
    check_dump(&open(files::ranges(&Guest::new(), 8)), DumpType::Kernel);
}

#[test]
fn kernel_and_user_dump() {
    check_dump(&open(files::ranges(&Guest::new(), 9)), DumpType::KernelAndUser);
}

#[test]
fn complete_dump() {
    check_dump(&open(files::ranges(&Guest::new(), 0xA)), DumpType::Complete);
}

#[test]
fn a_summary_dump_with_a_bitmap_is_read_and_says_so() {
    for dump_type in [2, 7] {
        let image = open(files::bitmap(&Guest::new(), dump_type));
        assert_eq!(image.format(), Format::Dump(DumpType::Bitmap));
        assert_eq!(image.notes(), [Note::ReadAs { dump_type, like: "a bitmap dump (type 5)" }]);
        assert!(!image.notes()[0].is_partial());
        check_memory(&image, &Guest::new());
    }
}

#[test]
fn elf_core() {
    let image = open(files::elf(&Guest::new()));
    assert_eq!((image.format(), image.notes()), (Format::ElfCore, &[][..]));
    check_memory(&image, &Guest::new());
    let kernel = Kernel::find(&image, FindOptions::default());
    check_kernel(&kernel);
    assert_eq!(kernel.root.unwrap().1, RootFoundBy::Registers { processor: 0 });
    assert_eq!(kernel.base.unwrap().1, BaseFoundBy::CodeAddress);
    check_searched(&kernel);
}

#[test]
fn segments_of_a_core_that_name_the_same_bytes_are_no_conflict() {
    let mut file = files::elf(&Guest::new());
    // A third segment, as QEMU writes with paging: pages 0x3000 and 0x4000 once more, by another virtual address.
    file.u16(0x38, 4).u32(0x40 + 3 * 0x38, 1).u64(0xE8 + 8, 0x3000).u64(0xE8 + 0x18, 0x3000);
    file.u64(0xE8 + 0x10, KERNEL + 0x1000).u64(0xE8 + 0x20, 0x2000);
    let image = open(file);
    assert_eq!(image.notes(), []);
    check_memory(&image, &Guest::new());
}

/// Checks what no header told.
fn check_searched(kernel: &Kernel<'_>) {
    assert_eq!(kernel.modules_found_by, Some(ModulesFoundBy::KernelData));
    assert_eq!(kernel.modules[0].entry, Some(KERNEL + 0x2000));
    let build = kernel.build.as_ref().unwrap();
    assert_eq!((build.number, build.found_by), (19041, BuildFoundBy::BuildLab));
    assert_eq!(build.lab.as_deref(), Some("19041.1.amd64fre.vb_release.191206-1406"));
    assert!(kernel.unloaded.is_none());
    assert!(matches!(kernel.notes[..], [KernelNote::NoUnloaded { .. }]), "{:?}", kernel.notes);
}

#[test]
fn raw_memory_with_a_low_stub() {
    let image = open(files::raw(&Guest::new()));
    assert_eq!((image.format(), image.notes()), (Format::Raw, &[][..]));
    check_memory(&image, &Guest::new());
    let kernel = Kernel::find(&image, FindOptions::default());
    check_kernel(&kernel);
    assert_eq!(kernel.root.unwrap().1, RootFoundBy::LowStub { at: 0x9000 });
    assert_eq!(kernel.base.unwrap().1, BaseFoundBy::CodeAddress);
    check_searched(&kernel);
}

#[test]
fn symbols_tell_what_raw_memory_does_not() {
    /// Knows one variable.
    struct One;
    impl Symbols for One {
        fn global(&self, name: &str) -> Option<u64> {
            (name == "MmUnloadedDrivers").then_some(KERNEL + 0x1800)
        }
        fn routine(&self, _: u64) -> Option<String> {
            None
        }
    }
    let image = open(files::raw(&Guest::new()));
    let mut kernel = Kernel::find(&image, FindOptions::default());
    kernel.use_symbols(&());
    check_searched(&kernel);
    kernel.use_symbols(&One);
    assert_eq!(kernel.unloaded.unwrap()[0].name, Ok("gone.sys".to_owned()));
    assert_eq!(kernel.notes, []);
}

#[test]
fn raw_memory_without_a_low_stub() {
    let mut guest = Guest::new();
    guest.u64(0x9000, 0);
    // A page that looks like a top table and leads nowhere.
    guest.u64(0xB000 + 0x180 * 8, 0xB003);
    guest.u64(0xB000 + 0x181 * 8, 0x5003);
    let image = open(files::raw(&guest));
    let kernel = Kernel::find(&image, FindOptions::default());
    check_kernel(&kernel);
    assert_eq!(kernel.root.unwrap().1, RootFoundBy::SelfMap);
    assert_eq!(kernel.base.unwrap().1, BaseFoundBy::Search);
    check_searched(&kernel);
    assert_eq!(kernel.root.unwrap().1.to_string(), "by searching for a page table that maps itself");
}

#[test]
fn without_a_module_list_images_are_found_by_their_headers() {
    let mut guest = Guest::new();
    guest.u64(0x7008, 0);
    let image = open(files::raw(&guest));
    let kernel = Kernel::find(&image, FindOptions::default());
    assert_eq!(kernel.modules_found_by, Some(ModulesFoundBy::ImageHeaders));
    let names: Vec<_> = kernel.modules.iter().map(|module| module.name.clone().unwrap()).collect();
    assert_eq!(names, ["ntoskrnl.exe", "ring.sys"]);
    assert!(kernel.notes.contains(&KernelNote::NoModuleList));
}

#[test]
fn a_given_root_is_used() {
    let image = open(files::raw(&Guest::new()));
    let options = FindOptions { cr3: Some(ROOT | 0x1F), ..FindOptions::default() };
    let kernel = Kernel::find(&image, options);
    check_kernel(&kernel);
    assert_eq!(kernel.root.unwrap().1, RootFoundBy::Given);
    let wrong = FindOptions { cr3: Some(0x5000), ..FindOptions::default() };
    let kernel = Kernel::find(&image, wrong);
    assert!(kernel.base.is_none());
    assert!(kernel.notes.contains(&KernelNote::NoKernel));
}

#[test]
fn a_header_whose_root_leads_nowhere_is_searched_past() {
    for cr3 in [0x7000, 0x00F0_0000, u64::MAX] {
        let mut file = files::full(&Guest::new());
        file.u64(0x10, cr3);
        let image = open(file);
        let kernel = Kernel::find(&image, FindOptions::default());
        check_kernel(&kernel);
        assert_eq!(kernel.root.unwrap(), (ROOT, RootFoundBy::LowStub { at: 0x9000 }));
    }
}

#[test]
fn memory_that_is_no_windows_says_so() {
    let image = open(File(vec![0x11; 0x10000]));
    let kernel = Kernel::find(&image, FindOptions::default());
    assert_eq!(kernel.notes, [KernelNote::NoRoot]);
    assert!(kernel.memory().u8(KERNEL).is_err());
    assert!(kernel.notes[0].hint().unwrap().contains("CR3"));
}

#[test]
fn a_broken_module_list_says_where() {
    for (at, value, why, read) in [
        (0x7100, KERNEL + 0x2000, "the entry at 0xfffff80000002000 appears a second time", 2),
        (0x7108, 7, "the entry at 0xfffff80000002100 does not point back", 1),
        (0x7000, 0x1000, "0x1000 is no kernel address", 1),
        (0x7000, KERNEL + 0x9000, "0xfffff80000009000: not mapped (the PTE is not valid)", 1),
    ] {
        let mut guest = Guest::new();
        guest.u64(at, value);
        let image = open(files::full(&guest));
        let kernel = Kernel::find(&image, FindOptions::default());
        assert_eq!(kernel.notes, [KernelNote::ModuleList { why: why.to_owned(), read }]);
        assert!(kernel.notes[0].is_partial());
    }
}

#[test]
fn a_kernel_in_the_lower_half_brings_its_own_range() {
    // The same tables, entered at index 0x20: 0x100000000000.
    const LOW: u64 = 0x1000_0000_0000;
    let mut guest = Guest::new();
    guest.u64(0x1000 + 0x20 * 8, 0x2063);
    for (at, value) in [(0x6100, LOW + 0x2000), (0x6108, LOW + 0x2000), (0x7000, LOW + 0x1100)] {
        guest.u64(at, value);
    }
    guest.u64(0x7008, LOW + 0x1100);
    guest.u64(0x7030, LOW);
    guest.u64(0x7050, LOW + 0x2200);
    guest.u64(0x7060, LOW + 0x2260);
    let mut file = files::full(&guest);
    file.u64(0x20, LOW + 0x1100).u64(0x80, 0);
    let image = open(file.clone());
    let kernel = Kernel::find(&image, FindOptions::default());
    assert_eq!(kernel.base, Some((LOW, BaseFoundBy::ModuleList)));
    assert_eq!(kernel.modules.len(), 1);
    assert_eq!(kernel.memory().kernel_range().first, 0x1_0000_0000);
    assert!(matches!(kernel.notes[0], KernelNote::KernelRange { .. }));
    // With a debugger data block the image says where its kernel begins.
    guest.u64(0x6218, LOW);
    guest.u64(0x6200 + 0x1D0, LOW + 0x1A00);
    guest.u64(0x6A00, 0x0FFF_0000_0000);
    let mut file = files::full(&guest);
    file.u64(0x20, LOW + 0x1100).u64(0x80, LOW + 0x1200);
    let image = open(file);
    let kernel = Kernel::find(&image, FindOptions::default());
    assert_eq!(kernel.memory().kernel_range().first, 0x0FFF_0000_0000);
    assert_eq!(kernel.base, Some((LOW, BaseFoundBy::DebuggerData)));
}

#[test]
fn the_head_of_the_list_is_where_the_guest_put_it() {
    let image = open(files::full(&Guest::new()));
    assert_eq!(image.header().unwrap().ps_loaded_module_list, LIST);
}
