//! Instructions that show the host to a driver without trapping: the processor's clock, its identity, its random numbers.
//!
//! Linux lets a process ask that `rdtsc` and `rdtscp` trap, and on some processors `cpuid` too; then the machine answers from
//! its virtual clock and with one fixed identity. What traps nowhere can only be looked for: every image is searched while
//! it is loaded, and a report says `reproducible: no` and where. Code that a driver writes at run time is not searched.
//!
//! The search finds the byte patterns first and decodes only sections that have any. Inside a function of `.pdata` the
//! decoder is right about what is an instruction; outside of one (leaf functions, tables between functions) bytes that look
//! like such an instruction count too, even where the linear decoding steps over them.

use std::collections::BTreeMap;

use iced_x86::{Code, Decoder, DecoderOptions, Mnemonic, Register};
use image::Image;
use serde::{Deserialize, Serialize};

use super::fault::RIP;
use super::registers::Context;
use super::sys;
use crate::Untrapped;

/// Which instructions of ring 3 trap in the kernel process. What does not is searched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Trapping {
    /// `rdtsc`, `rdtscp`.
    pub(crate) clock: bool,
    /// `cpuid`.
    pub(crate) identity: bool,
    /// `sgdt`, `sidt`, `sldt`, `smsw`, `str`: answered by Linux with constants where the processor has UMIP.
    pub(crate) tables: bool,
}

/// `CPUID` leaf 7, ECX: user-mode instruction prevention.
const UMIP: u32 = 1 << 2;

impl Trapping {
    /// Asks Linux for everything that can trap. From here on nothing in this process may read the clock in the way of the
    /// C library, whose fast path executes `rdtsc`.
    pub(crate) fn arm() -> Self {
        let [most, ..] = sys::cpuid(0, 0);
        let tables = most >= 7 && sys::cpuid(7, 0)[2] & UMIP != 0;
        // Host code asks what the processor has when it first needs to know; the answer is kept from then on.
        let _ = std::arch::is_x86_feature_detected!("avx2");
        Self { clock: sys::trap_clock(), identity: sys::trap_identity(true), tables }
    }

    fn covers(self, mnemonic: Mnemonic) -> bool {
        match mnemonic {
            Mnemonic::Rdtsc | Mnemonic::Rdtscp => self.clock,
            Mnemonic::Cpuid => self.identity,
            Mnemonic::Sgdt | Mnemonic::Sidt | Mnemonic::Sldt | Mnemonic::Smsw | Mnemonic::Str => self.tables,
            _ => false,
        }
    }
}

/// Most instructions that are told of one image.
const MOST: usize = 256;

/// Whether the instruction shows something of the host in ring 3.
fn shows_host(mnemonic: Mnemonic) -> bool {
    matches!(
        mnemonic,
        Mnemonic::Rdtsc
            | Mnemonic::Rdtscp
            | Mnemonic::Cpuid
            | Mnemonic::Rdrand
            | Mnemonic::Rdseed
            | Mnemonic::Rdpid
            | Mnemonic::Xgetbv
            | Mnemonic::Rdfsbase
            | Mnemonic::Xbegin
            | Mnemonic::Sgdt
            | Mnemonic::Sidt
            | Mnemonic::Sldt
            | Mnemonic::Smsw
            | Mnemonic::Str
            | Mnemonic::Lsl
            | Mnemonic::Lar
    )
}

/// Returns whether `bytes` may begin one of [`shows_host`], prefixes aside. Cheap, and never wrong about a no.
fn may_begin(bytes: &[u8]) -> bool {
    match bytes {
        [0x0F, 0xA2 | 0x31 | 0x00..=0x03, ..] | [0xC7, 0xF8, ..] => true,
        // `rdrand`, `rdseed`, `rdpid` with a register; `rdfsbase`.
        [0x0F, 0xC7, modrm, ..] => *modrm >= 0xF0,
        [0x0F, 0xAE, modrm, ..] => (0xC0..0xC8).contains(modrm),
        _ => false,
    }
}

/// Returns the instructions of `image` that show the host without trapping, in the order of their addresses.
pub(crate) fn search(image: &Image<'_>, trapping: Trapping) -> Vec<Untrapped> {
    let mut found = BTreeMap::new();
    for section in image.sections().iter().filter(|section| section.flags.executable()) {
        if let Some(code) = image.file_bytes(section.rva, section.file_size) {
            search_code(image, section.rva, code, trapping, &mut found);
        }
    }
    found.into_values().collect()
}

/// Returns the instruction at the start of `bytes`, if it is one that counts.
fn untrapped(bytes: &[u8], rva: u32, trapping: Trapping, certain: bool) -> Option<Untrapped> {
    let decoded = Decoder::with_ip(64, bytes, u64::from(rva), DecoderOptions::NONE).decode();
    let mnemonic = decoded.mnemonic();
    if !shows_host(mnemonic) || trapping.covers(mnemonic) {
        return None;
    }
    Some(Untrapped { rva, instruction: format!("{mnemonic:?}").to_lowercase(), certain })
}

fn search_code(
    image: &Image<'_>,
    rva: u32,
    code: &[u8],
    trapping: Trapping,
    found: &mut BTreeMap<u32, Untrapped>,
) {
    let candidates: Vec<usize> = (0..code.len()).filter(|&offset| may_begin(&code[offset..])).collect();
    if candidates.is_empty() {
        return;
    }
    // Windows finds nothing in a table that is not sorted, and neither is there any order to rely on here.
    let functions = image.functions().ok().filter(|table| table.is_sorted());
    let mut starts: Vec<u32> =
        functions.iter().flat_map(|table| table.iter()).map(|part| part.begin).collect();
    starts.push(image.entry());
    starts.sort_unstable();
    let mut offset = 0;
    while offset < code.len() {
        let at = rva + offset as u32;
        // A function begins where `.pdata` says, whatever the bytes before it decode to.
        let next = starts.partition_point(|&start| start <= at);
        let end = starts.get(next).map_or(code.len(), |&start| code.len().min((start - rva) as usize));
        let decoded = Decoder::with_ip(64, &code[offset..end], u64::from(at), DecoderOptions::NONE).decode();
        let length = if decoded.code() == Code::INVALID { 1 } else { decoded.len().max(1) };
        if shows_host(decoded.mnemonic())
            && let Some(one) = untrapped(&code[offset..end], at, trapping, true)
        {
            found.insert(at, one);
            if found.len() >= MOST {
                return;
            }
        }
        offset += length;
    }
    for offset in candidates {
        let at = rva + offset as u32;
        // Up to one mandatory prefix and one REX prefix belong to it, and then it was found where they begin.
        let known = (at.saturating_sub(2)..=at).any(|at| found.contains_key(&at));
        let in_function = functions.as_ref().is_some_and(|table| table.lookup(at).is_some());
        if !known
            && !in_function
            && found.len() < MOST
            && let Some(one) = untrapped(&code[offset..], at, trapping, false)
        {
            found.insert(at, one);
        }
    }
}

/// The registers that `cpuid` fills, in the order of its answer.
pub(crate) const CPUID: [Register; 4] = [Register::EAX, Register::EBX, Register::ECX, Register::EDX];

/// Reads what can be read of the three bytes at `address`; the rest is zero.
fn bytes_at(address: u64) -> [u8; 3] {
    std::array::from_fn(|offset| {
        let address = address.wrapping_add(offset as u64);
        if !sys::is_readable(address) {
            return 0;
        }
        let byte = std::ptr::with_exposed_provenance::<u8>(address as usize);
        // SAFETY: the byte can be read, as was just asked; it is code, which nobody writes.
        unsafe { byte.read_volatile() }
    })
}

/// Deals with a trap of host code at one of these instructions. Returns whether host code may go on.
///
/// Host code asks `cpuid` what instructions it may use (the standard library does, late): it gets the host's answer. Host code
/// that reads the clock would bring wall time into the machine: that is a defect of Ringbell, and ends it.
pub(crate) fn of_host(context: &mut Context<'_>) -> bool {
    const GP: u64 = 13;
    if context.vector() != GP {
        return false;
    }
    match bytes_at(context.word(RIP)) {
        [0x0F, 0xA2, _] => {
            let (leaf, part) = (context.get(Register::EAX), context.get(Register::ECX));
            sys::trap_identity(false);
            let values = sys::cpuid(leaf.unwrap_or(0) as u32, part.unwrap_or(0) as u32);
            sys::trap_identity(true);
            for (register, value) in CPUID.into_iter().zip(values) {
                context.set(register, u64::from(value));
            }
            context.set_word(RIP, context.word(RIP) + 2);
            true
        }
        [0x0F, 0x31, _] | [0x0F, 0x01, 0xF9] => {
            panic!("kernel code read the processor's clock; it knows no time but the virtual one")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the addresses of what is found in `code`, as the text of an image that lists no functions.
    fn found(code: &[u8], trapping: Trapping) -> Vec<(u32, String, bool)> {
        let image =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin/listener.sys")).unwrap();
        let image = Image::parse(&image).unwrap();
        let mut found = BTreeMap::new();
        // Far behind its functions.
        search_code(&image, 0x10_0000, code, trapping, &mut found);
        found.into_values().map(|one| (one.rva - 0x10_0000, one.instruction, one.certain)).collect()
    }

    fn certain(at: u32, name: &str) -> (u32, String, bool) {
        (at, name.into(), true)
    }

    #[test]
    fn every_instruction_that_shows_the_host_is_found_where_it_begins() {
        for (code, name) in [
            (&b"\x0f\xa2"[..], "cpuid"),
            (b"\x0f\x31", "rdtsc"),
            (b"\x0f\x01\xf9", "rdtscp"),
            (b"\x48\x0f\xc7\xf0", "rdrand"),
            (b"\x66\x0f\xc7\xf1", "rdrand"),
            (b"\x0f\xc7\xf8", "rdseed"),
            (b"\xf3\x0f\xc7\xf8", "rdpid"),
            (b"\x0f\x01\xd0", "xgetbv"),
            (b"\xf3\x48\x0f\xae\xc0", "rdfsbase"),
            (b"\xc7\xf8\x00\x00\x00\x00", "xbegin"),
            (b"\x0f\x01\x00", "sgdt"),
            (b"\x0f\x01\x08", "sidt"),
            (b"\x0f\x00\xc0", "sldt"),
            (b"\x0f\x00\xc8", "str"),
            (b"\x0f\x01\xe0", "smsw"),
            (b"\x0f\x03\xc1", "lsl"),
        ] {
            let mut padded = b"\x90\x90".to_vec();
            padded.extend(code);
            padded.push(0xC3);
            assert_eq!(found(&padded, Trapping::default()), [certain(2, name)], "{code:02x?}");
        }
    }

    #[test]
    fn what_traps_is_not_told() {
        let code = b"\x0f\x31\x0f\x01\xf9\x0f\xa2\x0f\xc7\xf0\xc3";
        let all = Trapping { clock: true, identity: true, tables: true };
        assert_eq!(found(code, all), [certain(7, "rdrand")]);
        let clock = Trapping { clock: true, ..Trapping::default() };
        assert_eq!(found(code, clock), [certain(5, "cpuid"), certain(7, "rdrand")]);
    }

    #[test]
    fn bytes_within_another_instruction_are_doubtful_and_told_so() {
        // mov eax, 0A20F9090h; ret
        assert_eq!(found(b"\xb8\x90\x90\x0f\xa2\xc3", Trapping::default()), [(3, "cpuid".into(), false)]);
        // lock cmpxchg8b [rsi]; mov eax, [rcx+0F0h]
        assert_eq!(found(b"\xf0\x0f\xc7\x0e\x8b\x81\xf0\x00\x00\x00", Trapping::default()), []);
    }

    #[test]
    fn bytes_within_an_instruction_of_a_listed_function_are_not_doubtful() {
        let image =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../drivers/bin/listener.sys")).unwrap();
        let image = Image::parse(&image).unwrap();
        let function = image.functions().unwrap().iter().next().unwrap();
        let mut found = BTreeMap::new();
        let code = b"\xb8\x90\x90\x0f\xa2\xc3";
        assert!(function.end - function.begin >= code.len() as u32);
        search_code(&image, function.begin, code, Trapping::default(), &mut found);
        assert_eq!(found.len(), 0);
    }

    #[test]
    fn cut_off_code_is_no_trouble() {
        for length in 0..4 {
            found(&b"\x0f\xc7\xf0\x0f"[..length], Trapping::default());
        }
        found(&[0x0F; 4096], Trapping::default());
    }
}
