//! The machine: its address plan, its kernel, its drivers, and what a boot leaves.

use crate::era::Era;
use crate::memory::{Memory, Page};
use crate::module::{self, Headers, Module, Section, Unloaded};
use crate::object::{CallbackSpec, Made, type_index};
use crate::pool::{Block, Pool};

/// Where things lie. Literals of this machine; a reader finds them by what they are.
pub mod plan {
    /// Base of the kernel image, in 2 MiB pages.
    pub const KERNEL: u64 = 0xFFFF_F802_5900_0000;
    /// `SizeOfImage` of the kernel.
    pub const KERNEL_SIZE: u64 = 0x40_0000;
    /// Base of the first driver.
    pub const DRIVERS: u64 = 0xFFFF_F802_6000_0000;
    /// `SizeOfImage` of a driver.
    pub const DRIVER_SIZE: u64 = 0x6000;
    /// Nonpaged pool.
    pub const NONPAGED: u64 = 0xFFFF_B08F_3C00_0000;
    /// Paged pool.
    pub const PAGED: u64 = 0xFFFF_A10E_5F00_0000;
    /// A 1 GiB page, where a world asks for it.
    pub const HUGE: u64 = 0xFFFF_9000_4000_0000;
    /// `KUSER_SHARED_DATA`.
    pub const SHARED: u64 = 0xFFFF_F780_0000_0000;

    /// Offsets of the kernel's variables from its base.
    pub mod rva {
        /// `PsLoadedModuleList`.
        pub const MODULES: u64 = 0x20_1000;
        /// `ExpCallbackListHead`.
        pub const LIST_HEAD: u64 = 0x20_2000;
        /// `ObpRootDirectoryObject`.
        pub const ROOT: u64 = 0x20_2100;
        /// `ObHeaderCookie`.
        pub const COOKIE: u64 = 0x20_2108;
        /// `MmUnloadedDrivers`.
        pub const UNLOADED: u64 = 0x20_2110;
        /// `MmLastUnloadedDriver`.
        pub const LAST_UNLOADED: u64 = 0x20_2118;
        /// `NtBuildNumber`.
        pub const BUILD: u64 = 0x20_2120;
        /// `ExCallbackObjectType`.
        pub const CALLBACK_TYPE: u64 = 0x20_2128;
        /// `ObTypeIndexTable`.
        pub const TYPES: u64 = 0x20_2200;
        /// `KdDebuggerDataBlock`.
        pub const DEBUGGER: u64 = 0x20_3000;
        /// `NtBuildLab`.
        pub const BUILD_LAB: u64 = 0x20_4000;
        /// First of the kernel's routines; each takes 0x100 bytes.
        pub const ROUTINES: u64 = 0x1_0000;
        /// `ExNotifyCallback`, the routine that the kernel exports.
        pub const EXPORT: u64 = 0x1_8000;
    }
}

/// Kernel routines by number; their addresses follow from [`World::kernel_routine`].
pub const KERNEL_ROUTINES: [&str; 6] = [
    "EtwpPowerStateCallback",
    "PopNewProcessorCallback",
    "IopDispatchSessionNotifications",
    "PopUmpoMessageCallback",
    "PopMonitorAlpcCallback",
    "SshpAlpcMessageCallback",
];

/// Drivers that a booted machine has loaded, in order.
const DRIVERS: [&str; 9] = [
    "acpi.sys",
    "pci.sys",
    "ndis.sys",
    "tcpip.sys",
    "WdFilter.sys",
    "tdx.sys",
    "afd.sys",
    "WdNisDrv.sys",
    "vendor.sys",
];

/// A machine and its memory.
#[derive(Clone, Debug)]
pub struct World {
    /// Its generation.
    pub era: Era,
    /// Its memory.
    pub memory: Memory,
    /// Loaded modules in order, the kernel first.
    pub modules: Vec<Module>,
    /// Unloaded modules.
    pub unloaded: Vec<Unloaded>,
    /// The root directory.
    pub root: Made,
    /// `\Callback`.
    pub callback_directory: Made,
    /// `\ObjectTypes`.
    pub types: Made,
    /// Callback objects with the leaf of their names, in the order of their creation.
    pub objects: Vec<(Option<String>, Made)>,
    pub(crate) descriptor: u64,
    pub(crate) debugger_block: bool,
    nonpaged: Pool,
    paged: Pool,
}

impl World {
    /// Builds a machine with a kernel and directories but no callback object and no driver.
    #[must_use]
    pub fn bare(era: Era) -> Self {
        let mut memory = Memory::new();
        module::map_image(&mut memory, plan::KERNEL, plan::KERNEL_SIZE, true);
        memory.map_fresh(plan::SHARED, 1);
        let nowhere = Made { block: Block { header: 0, start: 0 }, header: 0, body: 0, name_info: 0 };
        let mut world = Self {
            era,
            memory,
            modules: Vec::new(),
            unloaded: Vec::new(),
            root: nowhere,
            callback_directory: nowhere,
            types: nowhere,
            objects: Vec::new(),
            descriptor: 0,
            debugger_block: true,
            nonpaged: Pool::new(plan::NONPAGED, 2),
            paged: Pool::new(plan::PAGED, 3),
        };
        world.kernel();
        world.descriptor = world.take(true, 0x60, *b"ObSc").start;
        world.root = world.directory("\\");
        world.memory.put64(world.at(plan::rva::ROOT), world.root.body);
        world.types = world.subdirectory("ObjectTypes");
        let table = world.types_table();
        world.memory.put64(table + 8, 0xBAD0_B0B0);
        for (name, index, key) in [
            ("Type", type_index::TYPE, *b"ObjT"),
            ("Directory", type_index::DIRECTORY, *b"Dire"),
            ("SymbolicLink", type_index::LINK, *b"Symb"),
            ("ALPC Port", type_index::PORT, *b"ALPC"),
            ("Callback", type_index::CALLBACK, *b"Call"),
        ] {
            let made = world.object_type(name, index, key);
            if name == "Callback" {
                world.memory.put64(world.at(plan::rva::CALLBACK_TYPE), made.body);
            }
        }
        world.callback_directory = world.subdirectory("Callback");
        let head = world.list_head();
        world.memory.put64(head, head);
        world.memory.put64(head + 8, head);
        world
    }

    /// Builds a machine after an ordinary boot with drivers.
    #[must_use]
    pub fn booted(era: Era) -> Self {
        let mut world = Self::bare(era);
        for name in era.built_in() {
            world.callback(CallbackSpec::named(name));
        }
        for name in DRIVERS {
            world.driver(name);
        }
        world.unload("WdBoot.sys", 0xFFFF_F802_5E00_0000, 0x1_0000);
        world.unload("dump_diskdump.sys", 0xFFFF_F802_5E10_0000, 0x8000);
        world.kernel_listeners();
        world.driver_objects();
        world
    }

    fn kernel_listeners(&mut self) {
        let routine = |index| self.kernel_routine(index);
        let [etw, processor, session, umpo, monitor, sleep] = [0, 1, 2, 3, 4, 5].map(routine);
        self.register(self.named("PowerState").body, etw, 0);
        self.register(self.named("ProcessorAdd").body, processor, 0);
        if !self.era.has_list() {
            return;
        }
        self.callback(CallbackSpec::named("LicensingData"));
        for (port, multiple, routine) in [
            ("PowerPort", false, umpo),
            ("PowerMonitorPort", true, monitor),
            ("SleepstudyControlPort", false, sleep),
        ] {
            let object = self.callback(CallbackSpec::unnamed(multiple));
            self.register(object.body, routine, 0);
            self.port(port, object.body);
        }
        let sessions = self.callback(CallbackSpec::named("IoSessionNotifications"));
        for _ in 0..2 {
            let context = self.take(false, 0x48, *b"IoSn").start;
            self.register(sessions.body, session, context);
        }
        self.callback(CallbackSpec::named("IoExternalDmaUnblock"));
        let boot = CallbackSpec { permanent: false, ..CallbackSpec::named("BootDriver") };
        self.callback(boot);
    }

    fn driver_objects(&mut self) {
        let context = self.take(false, 0x100, *b"Vndr").start;
        for (name, driver) in [
            ("PowerState", "acpi.sys"),
            ("PowerState", "ndis.sys"),
            ("PowerState", "vendor.sys"),
            ("ProcessorAdd", "ndis.sys"),
            ("ProcessorAdd", "tcpip.sys"),
            ("SetSystemTime", "vendor.sys"),
        ] {
            let routine = self.module(driver).at(0x1100);
            self.register(self.named(name).body, routine, context);
        }
        if self.era.built_in().contains(&"SeImageVerificationDriverInfo") {
            let routine = self.module("WdFilter.sys").at(0x1200);
            self.register(self.named("SeImageVerificationDriverInfo").body, routine, 0);
        }
        for (name, multiple, listener) in [
            ("NdisBindUnbind", true, "tcpip.sys"),
            ("AfdTdxCallback", false, "afd.sys"),
            ("WdProcessNotificationCallback", true, "WdNisDrv.sys"),
            ("WdNriNotificationCallback", true, "WdFilter.sys"),
            ("VendorEvents", true, "vendor.sys"),
        ] {
            let object = self.callback(CallbackSpec { multiple, ..CallbackSpec::named(name) });
            let routine = self.module(listener).at(0x1300);
            self.register(object.body, routine, 0);
        }
    }

    /// Takes a block of a pool.
    pub fn take(&mut self, paged: bool, size: u64, tag: [u8; 4]) -> Block {
        let pool = if paged { &mut self.paged } else { &mut self.nonpaged };
        pool.take(&mut self.memory, size, tag)
    }

    /// Goes on at the next page of nonpaged pool, leaving `room` bytes free at the end of this one.
    pub fn leave_room(&mut self, room: u64) {
        self.nonpaged.leave(&mut self.memory, room);
    }

    /// Goes on with nonpaged pool elsewhere, for instance in a page of another size.
    pub fn move_nonpaged(&mut self, start: u64) {
        self.nonpaged = Pool::new(start, 2);
    }

    /// Maps one huge page at [`plan::HUGE`], over the physical memory from 1 GiB on, and goes on with nonpaged pool in it.
    pub fn use_huge_page(&mut self) {
        let physical = 0x4000_0000;
        self.memory.map(plan::HUGE, physical, Page::Huge);
        self.nonpaged = Pool::mapped(plan::HUGE, 0x4000_0000, 2);
    }

    fn subdirectory(&mut self, name: &str) -> Made {
        let root = self.root;
        let made = self.directory(name);
        self.insert(&root, &made, name);
        made
    }

    /// Gives an address in the kernel image.
    #[must_use]
    pub fn at(&self, rva: u64) -> u64 {
        plan::KERNEL + rva
    }

    /// Gives the address of `ExpCallbackListHead`.
    #[must_use]
    pub fn list_head(&self) -> u64 {
        self.at(plan::rva::LIST_HEAD)
    }

    pub(crate) fn types_table(&self) -> u64 {
        self.at(plan::rva::TYPES)
    }

    /// Gives the address of one of the [`KERNEL_ROUTINES`].
    #[must_use]
    pub fn kernel_routine(&self, index: u64) -> u64 {
        self.at(plan::rva::ROUTINES + index * 0x100)
    }

    /// Finds a callback object by the leaf of its name.
    ///
    /// # Panics
    ///
    /// Panics where there is none.
    #[must_use]
    pub fn named(&self, name: &str) -> Made {
        let found = self.objects.iter().find(|(leaf, _)| leaf.as_deref() == Some(name));
        found.unwrap_or_else(|| panic!("no object {name}")).1
    }

    /// Finds a module by its file name.
    ///
    /// # Panics
    ///
    /// Panics where there is none.
    #[must_use]
    pub fn module(&self, name: &str) -> Module {
        self.modules
            .iter()
            .find(|module| module.name == name)
            .unwrap_or_else(|| panic!("no module {name}"))
            .clone()
    }

    /// Lists the addresses of an object's registrations, in order.
    #[must_use]
    pub fn registrations(&self, body: u64) -> Vec<u64> {
        let mut found = Vec::new();
        let mut node = self.memory.get64(body + 0x10);
        while node != body + 0x10 {
            found.push(node);
            node = self.memory.get64(node);
        }
        found
    }

    /// Leaves the debugger's data block and its address out, as a raw image of a running machine does.
    pub fn hide_debugger_block(&mut self) {
        self.debugger_block = false;
        let garbage: Vec<u8> = (0..0x340_u32).map(|index| (index * 167 + 13) as u8).collect();
        self.memory.write(self.at(plan::rva::DEBUGGER), &garbage);
    }

    /// Loads a driver: its image, and its entry at the end of the list of modules.
    pub fn driver(&mut self, name: &str) -> Module {
        let base = plan::DRIVERS + self.modules.len() as u64 * 0x1_0000;
        let memory = &mut self.memory;
        module::map_image(memory, base, plan::DRIVER_SIZE, false);
        let sections = [
            Section { name: b".text\0\0\0", rva: 0x1000, size: 0x2000, flags: module::TEXT },
            Section { name: b".data\0\0\0", rva: 0x3000, size: 0x1000, flags: module::DATA },
            Section { name: b".rdata\0\0", rva: 0x4000, size: 0x1000, flags: module::RDATA },
            Section { name: b"INIT\0\0\0\0", rva: 0x5000, size: 0x1000, flags: module::INIT },
        ];
        let headers =
            Headers { size: plan::DRIVER_SIZE as u32, sections: &sections, exports: None, debug: None };
        module::write_headers(memory, base, &headers);
        for rva in (0x1000..0x3000).step_by(0x100) {
            module::write_routine(memory, base + rva);
        }
        self.list_module(name, base, plan::DRIVER_SIZE)
    }

    fn list_module(&mut self, name: &str, base: u64, size: u64) -> Module {
        let entry = self.take(false, 0xA0, *b"MmLd").start;
        let path = format!("\\SystemRoot\\system32\\drivers\\{name}");
        self.write_string(entry + 0x48, &path); // FullDllName
        self.write_string(entry + 0x58, name); // BaseDllName
        let memory = &mut self.memory;
        memory.put64(entry + 0x30, base); // DllBase
        memory.put64(entry + 0x38, base + 0x1000); // EntryPoint
        memory.put32(entry + 0x40, size as u32); // SizeOfImage
        memory.put32(entry + 0x68, 0x4900_4000); // Flags
        memory.put16(entry + 0x6C, 1); // LoadCount
        let head = plan::KERNEL + plan::rva::MODULES;
        let last = memory.get64(head + 8);
        memory.put64(entry, head); // InLoadOrderLinks
        memory.put64(entry + 8, last);
        memory.put64(last, entry);
        memory.put64(head + 8, entry);
        let module = Module { name: name.to_owned(), base, size, entry };
        self.modules.push(module.clone());
        module
    }

    fn write_string(&mut self, at: u64, text: &str) {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let buffer = self.take(false, units.len() as u64 + 2, *b"MmLd").start;
        self.memory.write(buffer, &units);
        self.memory.put16(at, units.len() as u16);
        self.memory.put16(at + 2, units.len() as u16 + 2);
        self.memory.put64(at + 8, buffer);
    }

    /// Remembers a driver that was unloaded.
    pub fn unload(&mut self, name: &str, start: u64, size: u64) {
        let pointer = self.at(plan::rva::UNLOADED);
        let mut array = self.memory.get64(pointer);
        if array == 0 {
            array = self.take(false, 50 * 0x28, *b"MmDT").start;
            self.memory.put64(pointer, array);
        }
        let count = self.unloaded.len() as u64;
        let at = array + count * 0x28;
        self.write_string(at, name); // Name
        self.memory.put64(at + 0x10, start); // StartAddress
        self.memory.put64(at + 0x18, start + size); // EndAddress
        self.memory.put64(at + 0x20, 0x01DA_0000_0000_0000); // CurrentTime
        self.memory.put32(self.at(plan::rva::LAST_UNLOADED), count as u32 + 1);
        self.unloaded.push(Unloaded { name: name.to_owned(), start, end: start + size });
    }

    fn kernel(&mut self) {
        let base = plan::KERNEL;
        let build = self.era.build();
        let memory = &mut self.memory;
        let sections = [
            Section { name: b".text\0\0\0", rva: 0x1000, size: 0x1F_F000, flags: module::TEXT },
            Section { name: b".data\0\0\0", rva: 0x20_0000, size: 0x10_0000, flags: module::DATA },
            Section { name: b"INIT\0\0\0\0", rva: 0x30_0000, size: 0x1_0000, flags: module::INIT },
            Section { name: b".rdata\0\0", rva: 0x3F_0000, size: 0x1_0000, flags: module::RDATA },
        ];
        let exports = [
            ("ExNotifyCallback", plan::rva::EXPORT as u32),
            ("NtBuildNumber", plan::rva::BUILD as u32),
            ("PsLoadedModuleList", plan::rva::MODULES as u32),
        ];
        let exports_size = module::write_exports(memory, base, 0x3F_0000, "ntoskrnl.exe", &exports);
        let debug_size = module::write_debug(memory, base, 0x3F_1000, "ntkrnlmp.pdb");
        let headers = Headers {
            size: plan::KERNEL_SIZE as u32,
            sections: &sections,
            exports: Some((0x3F_0000, exports_size)),
            debug: Some((0x3F_1000, debug_size)),
        };
        module::write_headers(memory, base, &headers);
        for index in 0..KERNEL_ROUTINES.len() as u64 {
            module::write_routine(memory, base + plan::rva::ROUTINES + index * 0x100);
        }
        memory.put32(base + plan::rva::BUILD, 0xF000_0000 | build);
        if let Some(cookie) = self.era.cookie() {
            memory.put8(base + plan::rva::COOKIE, cookie);
        }
        let head = base + plan::rva::MODULES;
        memory.put64(head, head);
        memory.put64(head + 8, head);
        let block = base + plan::rva::DEBUGGER;
        memory.put64(block, block); // List
        memory.put64(block + 8, block);
        memory.write(block + 0x10, b"KDBG"); // OwnerTag
        memory.put32(block + 0x14, 0x340); // Size
        memory.put64(block + 0x18, base); // KernBase
        memory.put64(block + 0x48, head); // PsLoadedModuleList
        memory.put64(block + 0x98, base + plan::rva::ROOT); // ObpRootDirectoryObject
        memory.put64(block + 0x208, base + plan::rva::BUILD_LAB); // NtBuildLab
        memory.put64(block + 0x220, base + plan::rva::UNLOADED); // MmUnloadedDrivers
        memory.put64(block + 0x228, base + plan::rva::LAST_UNLOADED); // MmLastUnloadedDriver
        let lab = format!("{build}.1.amd64fre.synthetic.200101-0000\0");
        memory.write(base + plan::rva::BUILD_LAB, lab.as_bytes());
        let (major, minor) = self.era.version();
        memory.put32(plan::SHARED + 0x260, build); // NtBuildNumber
        memory.put32(plan::SHARED + 0x26C, major); // NtMajorVersion
        memory.put32(plan::SHARED + 0x270, minor); // NtMinorVersion
        self.list_module("ntoskrnl.exe", base, plan::KERNEL_SIZE);
    }
}
