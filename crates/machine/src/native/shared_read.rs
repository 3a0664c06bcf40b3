//! Reads of `KUSER_SHARED_DATA`, instruction by instruction.
//!
//! The page lies at an address that Linux gives to nobody, so every read traps. What compilers make of a read through
//! a constant or a pointer is a load, an extending load, or an operand of simple arithmetic.

use iced_x86::{Instruction, Mnemonic, OpKind};

use super::fault::Text;
use super::processor;
use super::registers::{Context, FLAGS};

/// Carries out an instruction that reads `offset` of the shared page. `None`: not one of those that are understood.
pub(super) fn read(context: &mut Context<'_>, decoded: &Instruction, offset: u64) -> Option<()> {
    let size = decoded.memory_size().size();
    let value = processor::read_shared_data(offset, size)?;
    match vector_load(decoded) {
        Some(register) => context.set_xmm(register, value),
        None => shared_operation(context, decoded, u64::try_from(value).ok()?, size),
    }
}

/// Says that an instruction is not understood.
pub(super) fn refusal(offset: u64) -> Text {
    Text::new(format_args!(
        "driver code touches KUSER_SHARED_DATA+{offset:#x} with an instruction that this machine does not emulate"
    ))
}

/// Carries out an instruction whose memory operand has `value` of `size` bytes. `None`: not one of the list.
fn shared_operation(context: &mut Context<'_>, decoded: &Instruction, value: u64, size: usize) -> Option<()> {
    let target = decoded.op0_register();
    let bits = size as u32 * 8;
    let signed = (value << (64 - bits)).cast_signed() >> (64 - bits);
    match decoded.mnemonic() {
        Mnemonic::Mov | Mnemonic::Movzx if decoded.op0_kind() == OpKind::Register => {
            context.set(target, value)
        }
        Mnemonic::Movsx | Mnemonic::Movsxd => context.set(target, signed.cast_unsigned()),
        Mnemonic::Cmp | Mnemonic::Test if decoded.op0_kind() == OpKind::Memory => {
            let other = operand(context, decoded, 1)?;
            let result = arithmetic(decoded.mnemonic(), value, other, bits)?;
            set_flags(context, result);
            Some(())
        }
        mnemonic if decoded.op0_kind() == OpKind::Register => {
            let own = context.get(target)?;
            let result = arithmetic(mnemonic, own, value, bits)?;
            if !matches!(mnemonic, Mnemonic::Cmp | Mnemonic::Test) {
                context.set(target, result.value)?;
            }
            set_flags(context, result);
            Some(())
        }
        _ => None,
    }
}

/// Returns the number of the XMM register that a plain legacy-encoded load fills.
fn vector_load(decoded: &Instruction) -> Option<usize> {
    let register = decoded.op0_register();
    let loads = matches!(
        decoded.mnemonic(),
        Mnemonic::Movups
            | Mnemonic::Movupd
            | Mnemonic::Movdqu
            | Mnemonic::Movaps
            | Mnemonic::Movapd
            | Mnemonic::Movdqa
            | Mnemonic::Lddqu
            | Mnemonic::Movd
            | Mnemonic::Movq
            | Mnemonic::Movss
            | Mnemonic::Movsd
    );
    (loads && register.is_xmm() && register.number() < 16).then(|| register.number())
}

fn operand(context: &Context<'_>, decoded: &Instruction, index: u32) -> Option<u64> {
    match decoded.op_kind(index) {
        OpKind::Register => context.get(decoded.op_register(index)),
        _ => decoded.try_immediate(index).ok(),
    }
}

/// A result and the arithmetic flags it sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Result {
    value: u64,
    flags: u64,
}

const CF: u64 = 1;
const PARITY: u64 = 1 << 2;
const AF: u64 = 1 << 4;
const ZF: u64 = 1 << 6;
const SF: u64 = 1 << 7;
const OF: u64 = 1 << 11;

fn arithmetic(mnemonic: Mnemonic, a: u64, b: u64, bits: u32) -> Option<Result> {
    let mask = u64::MAX >> (64 - bits);
    let sign = 1 << (bits - 1);
    let (a, b) = (a & mask, b & mask);
    let (value, carry, overflow) = match mnemonic {
        Mnemonic::Add => {
            let sum = a.wrapping_add(b) & mask;
            (sum, sum < a, (a ^ sum) & (b ^ sum) & sign != 0)
        }
        Mnemonic::Sub | Mnemonic::Cmp => {
            let difference = a.wrapping_sub(b) & mask;
            (difference, a < b, (a ^ b) & (a ^ difference) & sign != 0)
        }
        Mnemonic::And | Mnemonic::Test => (a & b, false, false),
        Mnemonic::Or => (a | b, false, false),
        Mnemonic::Xor => (a ^ b, false, false),
        _ => return None,
    };
    let mut flags = 0;
    for (set, flag) in [
        (carry, CF),
        ((value as u8).count_ones().is_multiple_of(2), PARITY),
        (
            (a ^ b ^ value) & 0x10 != 0 && matches!(mnemonic, Mnemonic::Add | Mnemonic::Sub | Mnemonic::Cmp),
            AF,
        ),
        (value == 0, ZF),
        (value & sign != 0, SF),
        (overflow, OF),
    ] {
        flags |= if set { flag } else { 0 };
    }
    Some(Result { value, flags })
}

fn set_flags(context: &mut Context<'_>, result: Result) {
    let kept = context.word(FLAGS) & !(CF | PARITY | AF | ZF | SF | OF);
    context.set_word(FLAGS, kept | result.flags);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_the_processor() {
        let cases = [
            (Mnemonic::Cmp, 5, 5, 32, ZF | PARITY),
            (Mnemonic::Cmp, 4, 5, 8, CF | PARITY | AF | SF),
            (Mnemonic::Cmp, 0x80, 1, 8, OF | AF),
            (Mnemonic::Add, 0x7FFF_FFFF, 1, 32, OF | SF | AF | PARITY),
            (Mnemonic::Add, u64::MAX, 1, 64, CF | ZF | AF | PARITY),
            (Mnemonic::Test, 2, 1, 8, ZF | PARITY),
            (Mnemonic::Xor, 0xF0, 0x0F, 8, SF | PARITY),
        ];
        for (mnemonic, a, b, bits, expected) in cases {
            let flags = arithmetic(mnemonic, a, b, bits).unwrap().flags;
            assert_eq!(flags, expected, "{mnemonic:?} {a:#x} {b:#x}");
        }
    }
}
