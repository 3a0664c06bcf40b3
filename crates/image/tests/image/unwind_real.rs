//! The unwinder on drivers that compilers made, and against a reader that shares nothing with it.

use iced_x86::{Decoder, DecoderOptions, Mnemonic};
use pe_unwind_info::x86_64::{FunctionTableEntries, Register, UnwindState, XmmRegister};

use crate::builder::BASE;
use crate::image::Image;
use crate::image::unwind::{Context, Operation};
use crate::real::drivers;

const STACK: u64 = 0x10_0000;
const SIZE: u64 = 0x8_0000;

/// A stack whose words differ.
fn stack(address: u64) -> Option<u64> {
    (STACK..STACK + SIZE).contains(&address).then(|| address.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn context(rip: u64) -> Context {
    let mut context = Context { rip, ..Context::default() };
    for (number, register) in (0..).zip(&mut context.registers) {
        // Every register may be a frame pointer, so each points into the stack, at a place of its own.
        *register = STACK + SIZE / 4 + number * 0x100;
    }
    context.set_rsp(STACK + 0x1000);
    context
}

/// The other reader's registers.
struct Theirs(Context);

fn number(register: Register) -> usize {
    use Register::{R8, R9, R10, R11, R12, R13, R14, R15, RAX, RBP, RBX, RCX, RDI, RDX, RSI, RSP};
    [RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15]
        .iter()
        .position(|known| *known as u8 == register as u8)
        .unwrap()
}

impl UnwindState for Theirs {
    fn read_register(&mut self, register: Register) -> u64 {
        self.0.registers[number(register)]
    }

    fn read_stack(&mut self, address: u64) -> Option<u64> {
        stack(address)
    }

    fn write_register(&mut self, register: Register, value: u64) {
        self.0.registers[number(register)] = value;
    }

    fn write_xmm_register(&mut self, register: XmmRegister, value: u128) {
        self.0.xmm[register as u8 as usize] = value;
    }
}

/// The image as it lies in memory.
fn mapped(image: &Image<'_>) -> Vec<u8> {
    let plan = image.plan(image.headers().preferred_base).unwrap();
    let mut memory = vec![0; plan.size() as usize];
    plan.apply(&mut memory).unwrap();
    memory
}

#[test]
fn every_function_of_every_driver_has_unwind_data_that_reads() {
    let (mut functions, mut saved) = (0, 0);
    for (name, bytes) in drivers() {
        let image = Image::parse(&bytes).unwrap();
        let table = image.functions().unwrap();
        assert!(table.is_sorted(), "{name}");
        for function in table.iter() {
            let info = table.unwind_info(function).unwrap_or_else(|error| panic!("{name}: {error}"));
            for operation in info.operations() {
                let (offset, operation) = operation.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(u32::from(offset) <= info.prologue(), "{name}: {function:x?}");
                saved += usize::from(matches!(operation, Operation::Push(_)));
            }
            functions += 1;
        }
    }
    assert!(functions > 200 && saved > 200, "{functions} {saved}");
}

#[test]
fn another_reader_unwinds_from_every_instruction_alike() {
    let mut places = 0;
    for (name, bytes) in drivers() {
        let image = Image::parse(&bytes).unwrap();
        let table = image.functions().unwrap();
        let memory = mapped(&image);
        let Some(directory) = image.directory(3) else { continue };
        let start = directory.rva as usize;
        let theirs = FunctionTableEntries::parse(&memory[start..start + directory.size as usize]);
        for function in table.iter() {
            let code = &memory[function.begin as usize..function.end as usize];
            let decoder = Decoder::with_ip(64, code, u64::from(function.begin), DecoderOptions::NONE);
            for instruction in decoder {
                let rva = instruction.ip() as u32;
                // The other reader takes every direct jump for the end of an epilogue; a loop is none.
                let inside = u64::from(function.begin)..u64::from(function.end);
                if instruction.mnemonic() == Mnemonic::Jmp
                    && inside.contains(&instruction.near_branch_target())
                {
                    continue;
                }
                let mut ours = context(BASE + u64::from(rva));
                let mut other = Theirs(ours);
                let frame = table.unwind(BASE, &mut ours, stack);
                let back = theirs.unwind_frame(&mut other, |at| memory.get(at as usize..), rva);
                assert_eq!(frame.is_ok(), back.is_some(), "{name}+{rva:#x}: {frame:?}");
                let Some(rip) = back else { continue };
                other.0.rip = rip;
                assert_eq!(ours, other.0, "{name}+{rva:#x} of {function:x?}");
                places += 1;
            }
        }
    }
    assert!(places > 10_000, "{places}");
}
