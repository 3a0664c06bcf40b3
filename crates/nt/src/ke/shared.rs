//! The page that the kernel shares with everyone for reading.

use crate::layout::layout;

layout! {
    /// A time that can be read without a lock: two high halves around the low one.
    pub struct KSYSTEM_TIME : 0xC {
        /// Low half.
        0x0 LowPart: u32,
        /// High half, written last.
        0x4 High1Time: i32,
        /// High half, written first.
        0x8 High2Time: i32,
    }

    /// The page at `0xFFFFF78000000000` that every driver can read, as far as it kept its place since Windows 7.
    pub struct KUSER_SHARED_DATA : 0x3F0 {
        /// Unused.
        0x000 TickCountLowDeprecated: u32,
        /// Milliseconds per tick, 8.24 fixed point.
        0x004 TickCountMultiplier: u32,
        /// Time since boot in 100 ns.
        0x008 InterruptTime: KSYSTEM_TIME,
        /// UTC since 1601 in 100 ns.
        0x014 SystemTime: KSYSTEM_TIME,
        /// Local time's distance from UTC.
        0x020 TimeZoneBias: KSYSTEM_TIME,
        /// Lowest image machine, `0x8664`.
        0x02C ImageNumberLow: u16,
        /// Highest image machine, `0x8664`.
        0x02E ImageNumberHigh: u16,
        /// System directory, such as `C:\Windows`.
        0x030 NtSystemRoot: [u16; 260],
        /// Stack trace depth.
        0x238 MaxStackTraceDepth: u32,
        /// Crypto exponent.
        0x23C CryptoExponent: u32,
        /// Standard or daylight time.
        0x240 TimeZoneId: u32,
        /// Large page size.
        0x244 LargePageMinimum: u32,
        /// Not modeled.
        0x248 _Fill248: [u32; 6],
        /// Build number, on Windows 10 and later.
        0x260 NtBuildNumber: u32,
        /// 1 workstation, 2 domain controller, 3 server.
        0x264 NtProductType: u32,
        /// The product type is valid.
        0x268 ProductTypeIsValid: u8,
        /// Filler.
        0x269 _Fill269: u8,
        /// `PROCESSOR_ARCHITECTURE_AMD64`, 9.
        0x26A NativeProcessorArchitecture: u16,
        /// Major version.
        0x26C NtMajorVersion: u32,
        /// Minor version.
        0x270 NtMinorVersion: u32,
        /// `PF_*` processor features.
        0x274 ProcessorFeatures: [u8; 64],
        /// Not modeled.
        0x2B4 _Fill2B4: [u32; 4],
        /// Number of the boot, on Windows 10 and later; what lies there before is zero.
        0x2C4 BootId: u32,
        /// Expiry of an evaluation copy.
        0x2C8 SystemExpirationDate: i64,
        /// `VER_SUITE_*` bits.
        0x2D0 SuiteMask: u32,
        /// Kernel debugger: bit 0 enabled, bit 1 not present.
        0x2D4 KdDebuggerEnabled: u8,
        /// Mitigation defaults.
        0x2D5 MitigationPolicies: u8,
        /// Cycles per `pause`.
        0x2D6 CyclesPerYield: u16,
        /// Session at the console.
        0x2D8 ActiveConsoleId: u32,
        /// Volume dismounts.
        0x2DC DismountCount: u32,
        /// Runtime package state.
        0x2E0 ComPlusPackage: u32,
        /// Last input.
        0x2E4 LastSystemRITEventTickCount: u32,
        /// Pages of memory.
        0x2E8 NumberOfPhysicalPages: u32,
        /// Safe mode.
        0x2EC SafeBootMode: u8,
        /// Not modeled.
        0x2ED _Fill2ED: [u8; 3],
        /// Flags.
        0x2F0 SharedDataFlags: u32,
        /// Not modeled.
        0x2F4 _Fill2F4: [u32; 3],
        /// Performance counter frequency.
        0x300 QpcFrequency: i64,
        /// Not modeled.
        0x308 _Fill308: [u64; 3],
        /// Ticks since boot.
        0x320 TickCount: KSYSTEM_TIME,
        /// Not modeled.
        0x32C _Fill32C: u32,
        /// Cookie of encoded pointers.
        0x330 Cookie: u32,
        /// Not modeled.
        0x334 _Fill334: [u32; 35],
        /// Processors running.
        0x3C0 ActiveProcessorCount: u32,
        /// Processor groups.
        0x3C4 ActiveGroupCount: u8,
        /// Not modeled.
        0x3C5 _Fill3C5: [u8; 0x2B],
    }
}

/// Where [`KUSER_SHARED_DATA`] lies in kernel space on x64.
pub const KUSER_SHARED_DATA_ADDRESS: u64 = 0xFFFF_F780_0000_0000;
