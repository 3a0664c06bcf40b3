//! The identity of the virtual processor: what `cpuid` says where it traps, and how fast its clock runs.
//!
//! A plain x86-64 processor of 2.4 GHz with what every such processor since 2009 has (`x86-64-v2`), and nothing that would
//! make a driver reach for instructions whose answers are the host's: no `rdrand`, no `rdseed`, no XSAVE. It admits to be
//! virtual as Microsoft asks of hypervisors (bit 31 of ECX in leaf 1, a vendor name in leaf 4000_0000h).

/// Ticks of the time-stamp counter in 100 ns: 2.4 GHz.
pub(crate) const TICKS: i64 = 240;

/// Returns EAX, EBX, ECX, EDX of `cpuid` with `leaf` in EAX, on virtual processor `processor`.
pub(crate) fn cpuid(leaf: u32, processor: u8) -> [u32; 4] {
    const MOST: u32 = 0x15;
    const MOST_EXTENDED: u32 = 0x8000_0008;
    match leaf {
        0 => registers(MOST, b"GenuineIntel", [0, 2, 1]),
        1 => [
            // Family 6, model 26, stepping 5.
            0x0001_06A5,
            // CLFLUSH line of 64 bytes, one logical processor; the identifier is the processor's number.
            u32::from(processor) << 24 | 0x0001_0800,
            // SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT, hypervisor.
            1 | 1 << 9 | 1 << 13 | 1 << 19 | 1 << 20 | 1 << 23 | 1 << 31,
            // FPU, VME, DE, PSE, TSC, MSR, PAE, MCE, CX8, APIC, SEP, MTRR, PGE, MCA, CMOV, PAT, PSE36, CLFSH, MMX, FXSR, SSE, SSE2.
            0x078B_FBFF,
        ],
        // The time-stamp counter never changes its speed and never stops.
        0x8000_0007 => [0, 0, 0, 1 << 8],
        // 24 MHz crystal, times 100.
        0x15 => [1, 100, 24_000_000, 0],
        0x4000_0000 => registers(0x4000_0000, b"Ringbell    ", [0, 1, 2]),
        0x8000_0000 => [MOST_EXTENDED, 0, 0, 0],
        // SYSCALL, no-execute, long mode, RDTSCP; LAHF in 64-bit mode.
        0x8000_0001 => [0, 0, 1, 1 << 11 | 1 << 20 | 1 << 27 | 1 << 29],
        0x8000_0002..=0x8000_0004 => brand((leaf - 0x8000_0002) as usize),
        // 40 physical and 48 linear address bits.
        0x8000_0008 => [0x3028, 0, 0, 0],
        _ => [0; 4],
    }
}

/// EAX and twelve letters in the other three, in the order that `places` gives (0 EBX, 1 ECX, 2 EDX).
fn registers(eax: u32, letters: &[u8; 12], places: [usize; 3]) -> [u32; 4] {
    let mut all = [eax, 0, 0, 0];
    for (word, place) in letters.chunks_exact(4).zip(places) {
        all[1 + place] = word.iter().rev().fold(0, |word, &letter| word << 8 | u32::from(letter));
    }
    all
}

/// A third of the brand string.
fn brand(part: usize) -> [u32; 4] {
    const BRAND: &[u8; 48] = b"Ringbell virtual processor @ 2.40GHz\0\0\0\0\0\0\0\0\0\0\0\0";
    std::array::from_fn(|index| {
        let at = part * 16 + index * 4;
        BRAND[at..at + 4].iter().rev().fold(0, |word, &letter| word << 8 | u32::from(letter))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(words: &[u32]) -> String {
        String::from_utf8(words.iter().flat_map(|word| word.to_le_bytes()).collect()).unwrap()
    }

    #[test]
    fn the_vendor_stands_in_ebx_edx_ecx() {
        let [most, ebx, ecx, edx] = cpuid(0, 0);
        assert_eq!(text(&[ebx, edx, ecx]), "GenuineIntel");
        assert!(most >= 1);
        let [_, ebx, ecx, edx] = cpuid(0x4000_0000, 0);
        assert_eq!(text(&[ebx, ecx, edx]), "Ringbell    ");
    }

    #[test]
    fn the_brand_is_spread_over_three_leaves() {
        let words: Vec<u32> = (0x8000_0002..=0x8000_0004).flat_map(|leaf| cpuid(leaf, 0)).collect();
        assert_eq!(text(&words).trim_end_matches('\0'), "Ringbell virtual processor @ 2.40GHz");
    }

    #[test]
    fn no_instruction_is_offered_whose_answer_is_the_hosts() {
        let [_, ebx, ecx, edx] = cpuid(1, 3);
        assert_eq!(ebx >> 24, 3, "the processor's number");
        for bit in [26, 27, 28, 29, 30] {
            assert_eq!(ecx >> bit & 1, 0, "XSAVE, OSXSAVE, AVX, F16C, RDRAND: {bit}");
        }
        assert_eq!(ecx >> 31, 1, "virtual");
        assert_eq!(edx >> 4 & 1, 1, "a time-stamp counter");
        assert_eq!(cpuid(7, 0), [0; 4], "RDSEED");
        assert_eq!(cpuid(0x8000_0001, 0)[3] >> 29 & 1, 1, "long mode");
    }
}
