//! The modules that drivers import from: which are the kernel, and what the others are, in the words a user needs.

/// What a module is to a driver that imports from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ModuleClass {
    /// The kernel image under one of its names, or the hardware abstraction layer that is part of it.
    Kernel,
    /// Any other module.
    Foreign {
        /// What it is.
        what: &'static str,
        /// What the user can do.
        hint: &'static str,
    },
}

/// A row of [`KNOWN_MODULES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownModule {
    /// The module in lower case. A trailing `*` matches every module that begins so.
    pub module: &'static str,
    /// What it is to a driver.
    pub class: ModuleClass,
}

const KERNEL: ModuleClass = ModuleClass::Kernel;
const WDM: &str = "WDM drivers that import from `ntoskrnl.exe` and `hal.dll` alone run";
const USER: &str = "link against `ntoskrnl.lib` instead of the user-mode libraries";

const fn row(module: &'static str, what: &'static str) -> KnownModule {
    KnownModule { module, class: ModuleClass::Foreign { what, hint: WDM } }
}

const fn user(module: &'static str, what: &'static str) -> KnownModule {
    KnownModule { module, class: ModuleClass::Foreign { what, hint: USER } }
}

const fn kernel(module: &'static str) -> KnownModule {
    KnownModule { module, class: KERNEL }
}

/// Every module that is known by name.
///
/// The kernel's names are those of its builds (single and multiprocessor, with and without PAE); on x64 the file is
/// always `ntoskrnl.exe`, and since Windows 10 2004 `hal.dll` only forwards to it.
pub const KNOWN_MODULES: &[KnownModule] = &[
    kernel("ntoskrnl.exe"),
    kernel("ntkrnlmp.exe"),
    kernel("ntkrnlpa.exe"),
    kernel("ntkrpamp.exe"),
    kernel("hal.dll"),
    row(
        "wdfldr.sys",
        "the loader of the KMDF framework (`WdfVersionBind`), so this is a KMDF driver, not a WDM one",
    ),
    row("wdf01000.sys", "the KMDF framework itself"),
    row("wpprecorder.sys", "the WPP trace recorder"),
    row("fltmgr.sys", "the file system filter manager, so this is a minifilter"),
    row("ndis.sys", "the network driver interface, so this is a network driver"),
    row("netio.sys", "the kernel's network input and output subsystem"),
    row("fwpkclnt.sys", "the Windows Filtering Platform, so this is a firewall callout driver"),
    row("tdi.sys", "the transport driver interface (legacy networking)"),
    row("msrpc.sys", "kernel remote procedure calls"),
    row("rdbss.sys", "the network redirector library"),
    row("storport.sys", "the storage port library, so this is a storage miniport"),
    row("scsiport.sys", "the SCSI port library, so this is a legacy storage miniport"),
    row("ataport.sys", "the ATA port library, so this is a storage miniport"),
    row("classpnp.sys", "the storage class library"),
    row("spaceport.sys", "storage spaces"),
    row("volmgrx.sys", "the volume manager's extension"),
    row("clfs.sys", "the common log file system"),
    row("tm.sys", "the kernel transaction manager"),
    row("portcls.sys", "the audio port class library, so this is an audio driver"),
    row("drmk.sys", "the audio content protection library"),
    row("ks.sys", "kernel streaming, so this is an audio or video driver"),
    row("stream.sys", "the video stream class library"),
    row("usbd.sys", "the USB driver library"),
    row("usbport.sys", "the USB host controller library"),
    row("usbcamd2.sys", "the USB camera library"),
    row("hidclass.sys", "the HID class library, so this is an input minidriver"),
    row("hidparse.sys", "the HID report parser"),
    row("vhf.sys", "the virtual HID framework"),
    row("mouclass.sys", "the mouse class driver"),
    row("kbdclass.sys", "the keyboard class driver"),
    row("videoprt.sys", "the video port library, so this is a legacy display driver"),
    row("dxgkrnl.sys", "the DirectX graphics kernel, so this is a display driver"),
    row("displib.sys", "the display library"),
    row("win32k.sys", "the kernel's window manager"),
    row("win32kbase.sys", "the kernel's window manager"),
    row("win32kfull.sys", "the kernel's window manager"),
    row("watchdog.sys", "the display watchdog"),
    row("battc.sys", "the battery class library, so this is a battery miniport"),
    row("acpi.sys", "the ACPI driver"),
    row("pci.sys", "the PCI bus driver"),
    row("pcw.sys", "performance counters of the kernel"),
    row("ksecdd.sys", "the kernel's security support provider"),
    row("cng.sys", "the kernel's cryptography (CNG)"),
    row("ci.dll", "code integrity"),
    row("skci.dll", "code integrity of the secure kernel"),
    row("securekernel.exe", "the secure kernel, so this is not a driver of the normal kernel"),
    row("kdcom.dll", "the kernel debugger's transport"),
    row("bootvid.dll", "the boot screen's video library"),
    row("pshed.dll", "the platform's hardware error driver"),
    row("werkernel.sys", "the kernel's error reporting"),
    row("wmilib.sys", "the WMI library"),
    row("winhv.sys", "the hypervisor interface"),
    row("winhvr.sys", "the hypervisor interface"),
    row("vmbkmcl.sys", "the VMBus client library, so this is a Hyper-V driver"),
    row("ext-ms-*", "an API set (a contract that the system maps to some module)"),
    row("api-ms-*", "an API set (a contract that the system maps to some module)"),
    user("ntdll.dll", "the user-mode system library, so this is a native program, not a driver"),
    user("kernel32.dll", "a user-mode library (Win32)"),
    user("kernelbase.dll", "a user-mode library (Win32)"),
    user("user32.dll", "a user-mode library (Win32)"),
    user("gdi32.dll", "a user-mode library (Win32)"),
    user("advapi32.dll", "a user-mode library (Win32)"),
    user("ws2_32.dll", "a user-mode library (sockets)"),
    user("ucrtbase.dll", "the user-mode C runtime"),
    user("msvcrt.dll", "the user-mode C runtime"),
    user("msvcp*", "the user-mode C++ runtime"),
    user("vcruntime*", "the user-mode C runtime"),
    user("libgcc_s_seh-1.dll", "the user-mode runtime of GCC"),
];

/// Returns what a module is, whatever the case of its name.
pub fn classify_module(module: &str) -> ModuleClass {
    let matches = |known: &&KnownModule| match known.module.strip_suffix('*') {
        Some(prefix) => module.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix)),
        None => module.eq_ignore_ascii_case(known.module),
    };
    match KNOWN_MODULES.iter().find(matches) {
        Some(known) => known.class,
        None => ModuleClass::Foreign { what: "a module that is not the kernel", hint: WDM },
    }
}
