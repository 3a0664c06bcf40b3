//! The unwinder: every code and every form of epilogue, with registers and stacks worked out by hand.

use crate::builder::{BASE, CODE, Pe, RDATA};
use crate::image::Image;
use crate::image::unwind::{Context, Frame, UnwindError};

/// Where the stack of these tests begins; word `n` of it holds `WORD + n`.
const STACK: u64 = 0x5_0000;
const WORDS: u64 = 0x400;
const WORD: u64 = 0xfeed_0000;

const RBX: usize = 3;
const RSP: usize = 4;
const RBP: usize = 5;
const RSI: usize = 6;
const RDI: usize = 7;
const R12: usize = 12;

/// One function: where it is in `.text` and its unwind data.
pub(crate) struct Function {
    pub(crate) begin: u32,
    pub(crate) end: u32,
    pub(crate) info: Vec<u8>,
}

/// Unwind data: version and flags, prologue, frame register and offset, codes, and what follows them.
pub(crate) fn info(first: u8, prologue: u8, frame: u8, slots: &[u16], tail: &[u32]) -> Vec<u8> {
    let mut out = vec![first, prologue, slots.len() as u8, frame];
    out.extend(slots.iter().flat_map(|slot| slot.to_le_bytes()));
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(tail.iter().flat_map(|word| word.to_le_bytes()));
    out
}

/// A slot with a code: the offset behind the instruction, operation, info.
pub(crate) fn code(offset: u8, operation: u8, info: u8) -> u16 {
    u16::from_le_bytes([offset, info << 4 | operation])
}

/// An image with `text` at 0x1000 and unwind data from 0x2000 on.
pub(crate) fn image(text: &[u8], functions: &[Function]) -> Vec<u8> {
    let mut pe = Pe::empty(0x1000, 0x200);
    let mut filled = text.to_vec();
    filled.resize(0x1000, 0x90);
    pe.push(".text", CODE, filled);
    let (mut data, mut table) = (Vec::new(), Vec::new());
    for function in functions {
        for word in [function.begin, function.end, 0x2000 + data.len() as u32] {
            table.extend(word.to_le_bytes());
        }
        data.extend(&function.info);
    }
    data.resize(data.len().max(1), 0);
    assert_eq!(pe.push(".xdata", RDATA, data), 0x2000);
    let size = table.len() as u32;
    let rva = pe.push(".pdata", RDATA, table);
    pe.directory(3, rva, size);
    pe.build()
}

/// Registers with a value of their own each, at word `sp` of the stack.
fn context(rva: u32, sp: u64) -> Context {
    let mut context = Context { rip: BASE + u64::from(rva), ..Context::default() };
    for (number, register) in (0..).zip(&mut context.registers) {
        *register = 0x100 + number;
    }
    context.registers[RSP] = STACK + sp * 8;
    context
}

fn stack(address: u64) -> Option<u64> {
    let word = address.checked_sub(STACK)? / 8;
    (address.is_multiple_of(8) && word < WORDS).then_some(WORD + word)
}

fn unwind(bytes: &[u8], context: &mut Context) -> Result<Frame, UnwindError> {
    Image::parse(bytes).unwrap().functions().unwrap().unwind(BASE, context, stack)
}

/// One function over the whole text.
fn whole(text: &[u8], first: u8, prologue: u8, frame: u8, slots: &[u16]) -> Vec<u8> {
    image(text, &[Function { begin: 0x1000, end: 0x1100, info: info(first, prologue, frame, slots, &[]) }])
}

#[test]
fn a_leaf_function_has_its_return_address_on_top() {
    let bytes = whole(&[], 1, 0, 0, &[]);
    let mut context = context(0x1800, 5);
    let frame = unwind(&bytes, &mut context).unwrap();
    assert_eq!((frame.function, frame.handler, frame.establisher), (None, None, STACK + 5 * 8));
    assert_eq!((context.rip, context.rsp()), (WORD + 5, STACK + 6 * 8));
    assert_eq!(context.registers[RBX], 0x103);
}

#[test]
fn a_prologue_is_undone_as_far_as_it_ran() {
    // push rbp (1) ; push rbx (2) ; sub rsp, 0x28 (6)
    let bytes = whole(&[], 1, 6, 0, &[code(6, 2, 4), code(2, 0, RBX as u8), code(1, 0, RBP as u8)]);
    // (offset, words of stack the frame has there, where RBX and RBP lie)
    for (offset, words, rbx, rbp) in
        [(0, 0, None, None), (1, 1, None, Some(0)), (2, 2, Some(0), Some(1)), (6, 7, Some(5), Some(6))]
    {
        let mut registers = context(0x1000 + offset, 10);
        unwind(&bytes, &mut registers).unwrap();
        let saved = |word: Option<u64>, own| word.map_or(own, |word| WORD + 10 + word);
        assert_eq!(registers.registers[RBX], saved(rbx, 0x103), "{offset}");
        assert_eq!(registers.registers[RBP], saved(rbp, 0x105), "{offset}");
        assert_eq!(registers.rip, WORD + 10 + words, "{offset}");
        assert_eq!(registers.rsp(), STACK + (10 + words + 1) * 8, "{offset}");
    }
}

#[test]
fn large_allocations_come_in_two_sizes() {
    // alloc_large with info 0: a slot times eight; with info 1: two slots as they are.
    let scaled = whole(&[], 1, 7, 0, &[code(7, 1, 0), 0x20]);
    let mut registers = context(0x1010, 1);
    unwind(&scaled, &mut registers).unwrap();
    assert_eq!((registers.rip, registers.rsp()), (WORD + 0x21, STACK + 0x22 * 8));
    let plain = whole(&[], 1, 7, 0, &[code(7, 1, 1), 0x1800, 0]);
    let mut registers = context(0x1010, 1);
    unwind(&plain, &mut registers).unwrap();
    assert_eq!((registers.rip, registers.rsp()), (WORD + 0x301, STACK + 0x302 * 8));
    let huge = whole(&[], 1, 7, 0, &[code(7, 1, 1), 0, 1]);
    let mut registers = context(0x1010, 1);
    let before = registers;
    let address = STACK + 8 + 0x1_0000;
    assert_eq!(unwind(&huge, &mut registers), Err(UnwindError::Stack { address }));
    assert_eq!(registers, before, "a failed step changes nothing");
}

#[test]
fn a_frame_pointer_gives_the_base_once_it_is_set() {
    // push rbp (1) ; sub rsp, 0x40 (5) ; lea rbp, [rsp + 0x20] (10)
    let bytes = whole(&[], 1, 10, 0x25, &[code(10, 3, 0), code(5, 2, 7), code(1, 0, RBP as u8)]);
    // The body moved RSP down (alloca): only RBP tells where the frame is.
    let mut registers = context(0x1020, 3);
    registers.registers[RBP] = STACK + 20 * 8 + 0x20;
    let frame = unwind(&bytes, &mut registers).unwrap();
    assert_eq!(frame.establisher, STACK + 20 * 8);
    assert_eq!((registers.registers[RBP], registers.rip), (WORD + 28, WORD + 29));
    // In the prologue, before the pointer is set, RSP does.
    let mut registers = context(0x1005, 3);
    let frame = unwind(&bytes, &mut registers).unwrap();
    assert_eq!(frame.establisher, STACK + 3 * 8);
    assert_eq!((registers.registers[RBP], registers.rip), (WORD + 11, WORD + 12));
    // And right behind the instruction that sets it, still in no epilogue, RBP.
    let mut registers = context(0x100a, 3);
    registers.registers[RBP] = STACK + 3 * 8 + 0x20;
    assert_eq!(unwind(&bytes, &mut registers).unwrap().establisher, STACK + 3 * 8);
    assert_eq!(registers.rip, WORD + 12);
}

#[test]
fn registers_saved_by_moves_are_read_from_the_frame() {
    // sub rsp, 0x28 ; mov [rsp+0x10], rbx ; mov [rsp+0x80008], rdi: near by a slot, far by two.
    let bytes =
        whole(&[], 1, 20, 0, &[code(20, 5, RDI as u8), 0x1000, 0, code(9, 4, RBX as u8), 2, code(4, 2, 4)]);
    let mut registers = context(0x1030, 2);
    unwind(&bytes, &mut registers).unwrap();
    assert_eq!(registers.registers[RBX], WORD + 4);
    assert_eq!(registers.registers[RDI], WORD + 2 + 0x1000 / 8);
    assert_eq!((registers.rip, registers.rsp()), (WORD + 7, STACK + 8 * 8));
    // Between the two moves only the first has happened.
    let mut registers = context(0x1000 + 9, 2);
    unwind(&bytes, &mut registers).unwrap();
    assert_eq!((registers.registers[RBX], registers.registers[RDI]), (WORD + 4, 0x107));
}

#[test]
fn xmm_registers_are_read_whole() {
    // sub rsp, 0x58 ; movaps [rsp+0x20], xmm6 ; movaps [rsp+0x1000], xmm15
    let bytes = whole(&[], 1, 20, 0, &[code(20, 9, 15), 0x1000, 0, code(9, 8, 6), 2, code(4, 2, 10)]);
    let mut registers = context(0x1030, 0);
    unwind(&bytes, &mut registers).unwrap();
    let pair = |word: u64| u128::from(WORD + word + 1) << 64 | u128::from(WORD + word);
    assert_eq!((registers.xmm[6], registers.xmm[15]), (pair(4), pair(0x200)));
    assert_eq!((registers.xmm[7], registers.rip), (0, WORD + 11));
}

#[test]
fn a_machine_frame_gives_what_was_interrupted() {
    for (error_code, skipped) in [(0, 0), (1, 1)] {
        // push rbp (1) behind what the processor pushed (0)
        let bytes = whole(&[], 1, 1, 0, &[code(1, 0, RBP as u8), code(0, 10, error_code)]);
        let mut registers = context(0x1010, 4);
        let frame = unwind(&bytes, &mut registers).unwrap();
        assert!(frame.interrupted);
        assert_eq!(registers.registers[RBP], WORD + 4);
        assert_eq!((registers.rip, registers.rsp()), (WORD + 5 + skipped, WORD + 8 + skipped));
    }
}

#[test]
fn a_part_continues_the_unwind_data_of_its_function() {
    // The function pushes RSI (1); the part, elsewhere, saves RBX by a move on top.
    let part = info(1 | 4 << 3, 5, 0, &[code(5, 4, RBX as u8), 1], &[0x1000, 0x1040, 0x2000]);
    let function = info(1 | 1 << 3, 1, 0, &[code(1, 0, RSI as u8)], &[0x1900, 0xabcd]);
    let bytes = image(
        &[],
        &[
            Function { begin: 0x1000, end: 0x1040, info: function },
            Function { begin: 0x1080, end: 0x10c0, info: part },
        ],
    );
    let mut registers = context(0x1090, 7);
    let frame = unwind(&bytes, &mut registers).unwrap();
    assert_eq!(frame.function.unwrap().begin, 0x1080);
    let handler = frame.handler.unwrap();
    assert_eq!((handler.rva, handler.data), (0x1900, 0x200c));
    assert!(handler.exception && !handler.termination);
    assert_eq!((registers.registers[RSI], registers.registers[RBX]), (WORD + 7, WORD + 8));
    assert_eq!((registers.rip, registers.rsp()), (WORD + 8, STACK + 9 * 8));
    // In the part's prologue the move has not happened, yet the function's push has, and no handler is called.
    let mut registers = context(0x1082, 7);
    assert_eq!(unwind(&bytes, &mut registers).unwrap().handler, None);
    assert_eq!((registers.registers[RSI], registers.registers[RBX]), (WORD + 7, 0x103));
}

#[test]
fn an_epilogue_is_carried_out_from_where_it_stands() {
    let slots = [code(9, 2, 4), code(3, 0, R12 as u8), code(1, 0, RBX as u8)];
    // push rbx ; push r12 ; (a longer form of) sub rsp, 0x28 — at 0x20: add rsp, 0x28 ; pop r12 ; pop rbx ; <end>
    for (end, name) in [
        (&[0xc3][..], "ret"),
        (&[0xf3, 0xc3], "rep ret"),
        (&[0xc2, 0x08, 0x00], "ret 8"),
        (&[0xff, 0x25, 0, 0, 0, 0], "jmp [rip + 0]"),
        (&[0x48, 0xff, 0xe0], "rex.w jmp rax"),
        (&[0xe9, 0, 2, 0, 0], "jmp elsewhere"),
        (&[0xeb, 0xe0_u8.wrapping_sub(9)], "jmp to the function's own start"),
    ] {
        let mut text = vec![0x90; 0x20];
        text.extend([0x48, 0x83, 0xc4, 0x28, 0x41, 0x5c, 0x5b]);
        text.extend(end);
        let bytes = whole(&text, 1, 9, 0, &slots);
        // (offset, words left of the frame)
        for (offset, words) in [(0x20, 7), (0x24, 2), (0x26, 1), (0x27, 0)] {
            let mut registers = context(0x1000 + offset, 30);
            let frame = unwind(&bytes, &mut registers).unwrap();
            assert_eq!(registers.rip, WORD + 30 + words, "{name} at {offset:#x}");
            assert_eq!(registers.rsp(), STACK + (31 + words) * 8, "{name} at {offset:#x}");
            let rbx = if words == 0 { 0x103 } else { WORD + 30 + words - 1 };
            let r12 = if words < 2 { 0x10c } else { WORD + 30 + words - 2 };
            assert_eq!(
                (registers.registers[RBX], registers.registers[R12]),
                (rbx, r12),
                "{name} {offset:#x}"
            );
            assert_eq!(frame.handler, None);
        }
    }
}

#[test]
fn what_only_looks_like_an_epilogue_is_the_body() {
    let slots = [code(4, 2, 4)];
    for (text, name) in [
        (&[0x48, 0x83, 0xc4, 0x28, 0x90, 0xc3][..], "an instruction between"),
        (&[0xeb, 0x10], "a jump inside"),
        (&[0xff, 0xe0], "a jump table's jump"),
        (&[0x5c, 0xc3], "pop rsp"),
        (&[0x49, 0x8d, 0x63, 0x28, 0xc3], "lea rsp, [r11 + 0x28] without a frame pointer"),
        (&[0x48, 0x83, 0xec, 0x28, 0xc3], "sub rsp, 0x28"),
    ] {
        let mut code = vec![0x90; 0x20];
        code.extend(text);
        let bytes = whole(&code, 1, 4, 0, &slots);
        let mut registers = context(0x1020, 0);
        unwind(&bytes, &mut registers).unwrap();
        assert_eq!((registers.rip, registers.rsp()), (WORD + 5, STACK + 6 * 8), "{name}");
    }
}

#[test]
fn a_jump_to_another_part_of_the_function_is_no_epilogue() {
    let part = info(1 | 4 << 3, 0, 0, &[], &[0x1000, 0x1040, 0x2000]);
    let functions = |second: Vec<u8>| {
        let first = info(1, 4, 0, &[code(4, 2, 4)], &[]);
        [
            Function { begin: 0x1000, end: 0x1040, info: first },
            Function { begin: 0x1080, end: 0x10c0, info: second },
        ]
    };
    let mut text = vec![0x90; 0x20];
    text.extend([0xe9, 0x60, 0, 0, 0]); // to 0x1085
    let mut registers = context(0x1020, 0);
    unwind(&image(&text, &functions(part)), &mut registers).unwrap();
    assert_eq!(registers.rip, WORD + 5, "the frame is still there");
    let other = info(1, 0, 0, &[], &[]);
    let mut registers = context(0x1020, 0);
    unwind(&image(&text, &functions(other)), &mut registers).unwrap();
    assert_eq!(registers.rip, WORD, "a tail call");
}

#[test]
fn an_epilogue_may_use_the_frame_pointer() {
    for (frame, text, name) in [
        (5, &[0x48, 0x8d, 0x65, 0x10][..], "lea rsp, [rbp + 0x10]"),
        (5, &[0x48, 0x8d, 0xa5, 0x10, 0, 0, 0], "lea rsp, [rbp + 0x10], long"),
        (13, &[0x49, 0x8d, 0x65, 0x10], "lea rsp, [r13 + 0x10]"),
        (12, &[0x49, 0x8d, 0x64, 0x24, 0x10], "lea rsp, [r12 + 0x10]"),
    ] {
        let mut code_bytes = vec![0x90; 0x20];
        code_bytes.extend(text);
        code_bytes.extend([0x5b, 0xc3]);
        let slots = [code(8, 3, 0), code(4, 2, 1), code(1, 0, RBX as u8)];
        let bytes = whole(&code_bytes, 1, 8, frame, &slots);
        let mut registers = context(0x1020, 0);
        registers.registers[usize::from(frame)] = STACK + 40 * 8;
        unwind(&bytes, &mut registers).unwrap();
        assert_eq!((registers.registers[RBX], registers.rip), (WORD + 42, WORD + 43), "{name}");
        assert_eq!(registers.rsp(), STACK + 44 * 8, "{name}");
    }
}

#[test]
fn version_2_says_where_epilogues_are() {
    // push rbx ; push rsi ; sub rsp, 0x28. One epilogue (pop rsi ; pop rbx ; ret) at the end, another 0x80 before it.
    let slots = [
        code(3, 6, 1),
        code(0x80, 6, 0),
        code(0, 6, 0),
        code(6, 2, 4),
        code(2, 0, RSI as u8),
        code(1, 0, RBX as u8),
    ];
    let mut text = vec![0x90; 0x100];
    for at in [0xfd, 0x80, 0x40] {
        text[at..at + 3].copy_from_slice(&[0x5e, 0x5b, 0xc3]);
    }
    let bytes = whole(&text, 2, 6, 0, &slots);
    for (offset, words, name) in [
        (0xfd, 2, "at the end"),
        (0xfe, 1, "in its middle"),
        (0xff, 0, "its return"),
        (0x80, 2, "the other one"),
        (0x40, 7, "the same bytes where none is described"),
        (0x7f, 7, "before"),
    ] {
        let mut registers = context(0x1000 + offset, 3);
        unwind(&bytes, &mut registers).unwrap();
        assert_eq!(registers.rip, WORD + 3 + words, "{name}");
    }
}

#[test]
fn damaged_unwind_data_is_refused_and_changes_nothing() {
    let chain = |unwind: u32| info(1 | 4 << 3, 0, 0, &[], &[0x1000, 0x1100, unwind]);
    let one = |info| vec![Function { begin: 0x1000, end: 0x1100, info }];
    for (functions, expected) in [
        (one(info(3, 0, 0, &[], &[])), UnwindError::Version { rva: 0x2000, version: 3 }),
        (one(info(0, 0, 0, &[], &[])), UnwindError::Version { rva: 0x2000, version: 0 }),
        (one(info(1, 4, 0, &[code(4, 6, 0)], &[])), UnwindError::Code { rva: 0x2000, operation: 6 }),
        (one(info(1, 4, 0, &[code(4, 11, 0)], &[])), UnwindError::Code { rva: 0x2000, operation: 11 }),
        (one(info(1, 4, 0, &[code(4, 1, 2), 0], &[])), UnwindError::Code { rva: 0x2000, operation: 1 }),
        (one(info(1, 4, 0, &[code(4, 1, 1), 0], &[])), UnwindError::Code { rva: 0x2000, operation: 1 }),
        (one(info(1, 4, 0, &[code(4, 5, 3)], &[])), UnwindError::Code { rva: 0x2000, operation: 5 }),
        (one(chain(0x2000)), UnwindError::Chain { rva: 0x2000 }),
        (one(chain(0x7000)), UnwindError::Outside { rva: 0x7000 }),
        (one(vec![1, 0, 255, 0]), UnwindError::Outside { rva: 0x2000 }),
    ] {
        let bytes = image(&[], &functions);
        let mut registers = context(0x1050, 0);
        let before = registers;
        assert_eq!(unwind(&bytes, &mut registers), Err(expected));
        assert_eq!(registers, before);
    }
}

#[test]
fn a_frame_that_leads_nowhere_is_refused() {
    // A frame pointer below the stack pointer sends the caller's frame down.
    let bytes = whole(&[], 1, 1, 5, &[code(1, 3, 0)]);
    let mut registers = context(0x1050, 9);
    registers.registers[RBP] = STACK;
    let rsp = STACK + 9 * 8;
    assert_eq!(unwind(&bytes, &mut registers), Err(UnwindError::NoProgress { rsp }));
    // A wrap around the end of the address space too.
    let bytes = whole(&[], 1, 4, 0, &[code(4, 1, 1), 0xfff8, 0xffff]);
    let mut registers = context(0x1050, 0);
    registers.set_rsp(u64::MAX - 7);
    assert!(unwind(&bytes, &mut registers).is_err());
}
