//! Epilogues: how a function gives its frame back, recognized by its bytes.
//!
//! An epilogue is `add rsp, constant` or `lea rsp, [frame pointer + displacement]`, then pops, then a return or a jump
//! that leaves the function ("x64 prolog and epilog"). Whoever stands in the middle of it has part of the frame left;
//! the rest of the instructions says which.

use super::context::RSP;
use super::info::{Operation, UnwindInfo};
use crate::function::{FunctionTable, RuntimeFunction};

/// The most bytes an epilogue can have: a release, a pop of every register with a prefix each, and a jump.
const LONGEST: u32 = 8 + 16 * 2 + 7;

/// How the rest of an epilogue releases the frame, before its pops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Release {
    /// Not at all any more.
    Nothing,
    /// Adds to the stack pointer.
    Add(u64),
    /// Sets it to the frame pointer plus a displacement.
    FromFrame(u8, u64),
}

/// The rest of an epilogue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Epilogue {
    pub(super) release: Release,
    pops: [u8; 16],
    count: usize,
}

impl Epilogue {
    /// Returns the registers that are popped, in order.
    pub(super) fn pops(&self) -> &[u8] {
        &self.pops[..self.count]
    }
}

/// Returns what is left of an epilogue at `rva` in `function`, if it is in one.
pub(super) fn rest(
    table: &FunctionTable<'_>,
    function: RuntimeFunction,
    info: &UnwindInfo<'_>,
    rva: u32,
) -> Option<Epilogue> {
    if info.version() == 2 && !described(function, info, rva) {
        return None;
    }
    let all = table.image.file_bytes(rva, (function.end - rva).min(LONGEST))?;
    let mut code = all;
    let release = release(&mut code, info);
    let mut epilogue = Epilogue { release, pops: [0; 16], count: 0 };
    while let Some((register, rest)) = pop(code) {
        *epilogue.pops.get_mut(epilogue.count)? = register;
        epilogue.count += 1;
        code = rest;
    }
    let at = rva + (all.len() - code.len()) as u32;
    leaves(table, function, info, code, at).then_some(epilogue)
}

/// Whether the codes of version 2 say that `rva` lies in an epilogue. The first gives the size, and whether there is one at the
/// function's end; each further one the distance of an epilogue from the end.
fn described(function: RuntimeFunction, info: &UnwindInfo<'_>, rva: u32) -> bool {
    let mut size = None;
    for code in info.operations() {
        let Ok((offset, Operation::Epilogue(info))) = code else { break };
        let distance = match size {
            None => {
                size = Some(u32::from(offset));
                if info & 1 != 0 { u32::from(offset) } else { 0 }
            }
            Some(_) => u32::from(offset) | u32::from(info) << 8,
        };
        let start = function.end.saturating_sub(distance);
        if distance != 0 && rva >= start && rva - start < size.unwrap_or(0) {
            return true;
        }
    }
    false
}

/// Takes the release of the frame from the front of `code`.
fn release(code: &mut &[u8], info: &UnwindInfo<'_>) -> Release {
    let (found, rest) = match **code {
        [0x48, 0x83, 0xc4, value, ref rest @ ..] => (Release::Add(extended(value)), rest),
        [0x48, 0x81, 0xc4, a, b, c, d, ref rest @ ..] => (Release::Add(extended_long([a, b, c, d])), rest),
        [rex @ 0x48..=0x49, 0x8d, modrm, ref rest @ ..] => {
            let register = (rex & 1) << 3 | modrm & 7;
            let is_frame = info.frame().is_some_and(|(frame, _)| frame == register);
            // Destination RSP; R12 cannot be a base without a byte that says so.
            let rest = if modrm & 7 == 4 { rest.strip_prefix(&[0x24]) } else { Some(rest) };
            match (is_frame, modrm & 0xf8, rest) {
                (true, 0x60, Some([value, rest @ ..])) => {
                    (Release::FromFrame(register, extended(*value)), rest)
                }
                (true, 0xa0, Some([a, b, c, d, rest @ ..])) => {
                    (Release::FromFrame(register, extended_long([*a, *b, *c, *d])), rest)
                }
                _ => return Release::Nothing,
            }
        }
        _ => return Release::Nothing,
    };
    *code = rest;
    found
}

/// Takes a pop of an integer register other than RSP from the front of `code`.
fn pop(code: &[u8]) -> Option<(u8, &[u8])> {
    let (register, rest) = match *code {
        [opcode @ 0x58..=0x5f, ref rest @ ..] => (opcode - 0x58, rest),
        [rex @ 0x40..=0x4f, opcode @ 0x58..=0x5f, ref rest @ ..] => ((rex & 1) << 3 | (opcode - 0x58), rest),
        _ => return None,
    };
    (usize::from(register) != RSP).then_some((register, rest))
}

/// Whether `code`, which lies at `at`, starts with an instruction that leaves the function for good.
fn leaves(
    table: &FunctionTable<'_>,
    function: RuntimeFunction,
    info: &UnwindInfo<'_>,
    code: &[u8],
    at: u32,
) -> bool {
    let jumps_out = |length: u32, distance: u64| {
        let target = at.wrapping_add(length).wrapping_add(distance as u32);
        if function.contains(target) {
            // A call of itself at the end, which compilers turn into a jump.
            return target == function.begin && !info.is_chained();
        }
        // A jump to another part of the same function leaves nothing.
        table.lookup(target).is_none_or(|other| {
            let whole = table.primary(other);
            whole != table.primary(function) || whole.begin == target
        })
    };
    match *code {
        [0xc3, ..] | [0xf3, 0xc3, ..] | [0xc2, _, _, ..] | [0xff, 0x25, _, _, _, _, ..] => true,
        [0x48..=0x4f, 0xff, modrm, ..] => modrm & 0x38 == 0x20,
        [0xeb, distance, ..] => jumps_out(2, extended(distance)),
        [0xe9, a, b, c, d, ..] => jumps_out(5, extended_long([a, b, c, d])),
        _ => false,
    }
}

fn extended(value: u8) -> u64 {
    i64::from(value.cast_signed()).cast_unsigned()
}

fn extended_long(bytes: [u8; 4]) -> u64 {
    i64::from(i32::from_le_bytes(bytes)).cast_unsigned()
}
