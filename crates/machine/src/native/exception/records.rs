//! What handlers are shown, on the driver's stack.

use std::sync::atomic::Ordering;

use nt::{BugCheck, CONTEXT, DISPATCHER_CONTEXT, EXCEPTION_MAXIMUM_PARAMETERS, EXCEPTION_RECORD, M128A};
use ntoskrnl::guest::Guest;
use ntoskrnl::{Exception, field};

use super::super::fault::{self, Text};
use super::super::processor::{self, NOW};
use super::super::world::World;
use super::walk::{Frame, Handler, State};
use crate::plan;

/// An exception, as its record tells it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) code: u32,
    pub(crate) flags: u32,
    pub(crate) previous: u64,
    pub(crate) address: u64,
    pub(crate) information: [u64; EXCEPTION_MAXIMUM_PARAMETERS],
    pub(crate) count: usize,
}

impl Record {
    /// Makes the record of an exception at `address`.
    pub(crate) fn new(code: u32, address: u64, parameters: &[u64]) -> Self {
        let mut information = [0; EXCEPTION_MAXIMUM_PARAMETERS];
        let count = parameters.len().min(information.len());
        information[..count].copy_from_slice(&parameters[..count]);
        Self { code, flags: 0, previous: 0, address, information, count }
    }

    /// Makes the record of what an export raises on behalf of `caller`.
    pub(super) fn of(exception: &Exception<'_>, caller: u64) -> Self {
        let record = Self::new(exception.code.0, caller, exception.information);
        Self { flags: exception.flags, previous: exception.previous, ..record }
    }
}

/// Selectors of kernel mode: CS, DS, ES, FS, GS, SS.
const SELECTORS: [u16; 6] = [0x10, 0x2B, 0x2B, 0x53, 0x2B, 0x18];

/// Bytes that have to be left for the handler.
const ROOM: u64 = 0x100;

/// Places of the records below what the driver has on its stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Block {
    pub(super) record: u64,
    pub(super) context: u64,
    pub(super) dispatcher: u64,
    /// The driver's stack pointer.
    before: u64,
}

impl Block {
    /// Takes the room. `None` where the driver does not stand on the thread's stack; where the stack is used up the world ends, as by
    /// the double fault on Windows.
    pub(super) fn take() -> Option<Self> {
        let [host, before] = processor::slots();
        let top = NOW.stack.load(Ordering::Relaxed);
        let limit = top.checked_sub(plan::STACK_SIZE)?;
        if !(limit..=top).contains(&before) {
            return None;
        }
        let align = |at: u64| at & !15;
        let record = align(before.wrapping_sub(size_of::<EXCEPTION_RECORD>() as u64));
        let context = align(record.wrapping_sub(size_of::<CONTEXT>() as u64));
        let dispatcher = align(context.wrapping_sub(size_of::<DISPATCHER_CONTEXT>() as u64));
        if dispatcher < limit + ROOM {
            let text = Text::new(format_args!(
                "the kernel stack of {} bytes has no room for an exception; handlers that raise again use it up",
                plan::STACK_SIZE
            ));
            let caller = NOW.caller.load(Ordering::Relaxed);
            fault::bugcheck(BugCheck::UNEXPECTED_KERNEL_MODE_TRAP, [8, 0, 0, 0], caller, text.bytes(), None);
        }
        processor::set_slots([host, dispatcher]);
        Some(Self { record, context, dispatcher, before })
    }

    /// Gives the room back.
    pub(super) fn give_back(&self) {
        let [host, _] = processor::slots();
        processor::set_slots([host, self.before]);
    }

    /// Writes the record.
    pub(super) fn write_record(&self, world: &World, record: &Record) {
        let at = Guest::<EXCEPTION_RECORD>::new(world.kernel(), self.record);
        field!(at, EXCEPTION_RECORD, ExceptionCode).write(record.code);
        field!(at, EXCEPTION_RECORD, ExceptionFlags).write(record.flags);
        field!(at, EXCEPTION_RECORD, ExceptionRecord)
            .write(std::ptr::with_exposed_provenance_mut(record.previous as usize));
        field!(at, EXCEPTION_RECORD, ExceptionAddress)
            .write(std::ptr::with_exposed_provenance_mut(record.address as usize));
        field!(at, EXCEPTION_RECORD, NumberParameters).write(record.count as u32);
        field!(at, EXCEPTION_RECORD, _Fill01C).write(0);
        field!(at, EXCEPTION_RECORD, ExceptionInformation).write(record.information);
    }

    /// Writes the registers.
    pub(super) fn write_context(&self, world: &World, state: &State) {
        write_context(Guest::new(world.kernel(), self.context), state);
    }

    /// Reads the registers back.
    pub(super) fn read_context(&self, world: &World) -> State {
        read_context(Guest::new(world.kernel(), self.context))
    }

    /// Writes what the handler of a frame is told about it.
    pub(super) fn write_dispatcher(
        &self,
        world: &World,
        frame: &Frame,
        handler: &Handler,
        target: u64,
        scope: u32,
    ) {
        let at = Guest::<DISPATCHER_CONTEXT>::new(world.kernel(), self.dispatcher);
        let pointer = |address: u64| std::ptr::with_exposed_provenance_mut(address as usize);
        field!(at, DISPATCHER_CONTEXT, ControlPc).write(frame.state.context.rip);
        field!(at, DISPATCHER_CONTEXT, ImageBase).write(handler.base);
        field!(at, DISPATCHER_CONTEXT, FunctionEntry).write(pointer(handler.function));
        field!(at, DISPATCHER_CONTEXT, EstablisherFrame).write(frame.establisher);
        field!(at, DISPATCHER_CONTEXT, TargetIp).write(target);
        field!(at, DISPATCHER_CONTEXT, ContextRecord)
            .write(std::ptr::with_exposed_provenance_mut(self.context as usize));
        field!(at, DISPATCHER_CONTEXT, LanguageHandler).write(pointer(handler.routine));
        field!(at, DISPATCHER_CONTEXT, HandlerData).write(pointer(handler.data));
        field!(at, DISPATCHER_CONTEXT, HistoryTable).write(std::ptr::null_mut());
        field!(at, DISPATCHER_CONTEXT, ScopeIndex).write(scope);
        field!(at, DISPATCHER_CONTEXT, Fill0).write(0);
    }
}

/// Writes registers into a `CONTEXT` of a driver.
pub(crate) fn write_context(at: Guest<CONTEXT>, state: &State) {
    let mut context = CONTEXT::at(state.context.rip);
    context.MxCsr = state.mxcsr;
    context.SegCs = SELECTORS;
    context.EFlags = state.flags;
    context.Xmm0 = state.context.xmm.map(|value| M128A { Low: value as u64, High: (value >> 64) as i64 });
    // Control word 0x037F of a fresh x87; MXCSR and its mask.
    context.FltSave[0] = 0x037F;
    context.FltSave[3] = u64::from(state.mxcsr) | 0xFFFF << 32;
    for (place, value) in integers(&mut context).into_iter().zip(state.context.registers) {
        *place = value;
    }
    at.write(context);
}

/// Reads registers from a `CONTEXT` of a driver.
pub(crate) fn read_context(at: Guest<CONTEXT>) -> State {
    let mut context = at.read();
    let mut state = State { context: Default::default(), flags: context.EFlags, mxcsr: context.MxCsr };
    state.context.rip = context.Rip;
    state.context.xmm = context.Xmm0.map(|value| u128::from(value.High as u64) << 64 | u128::from(value.Low));
    state.context.registers = integers(&mut context).map(|place| *place);
    state
}

/// Returns the general registers, by their numbers.
fn integers(context: &mut CONTEXT) -> [&mut u64; 16] {
    let CONTEXT { Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15, .. } =
        context;
    [Rax, Rcx, Rdx, Rbx, Rsp, Rbp, Rsi, Rdi, R8, R9, R10, R11, R12, R13, R14, R15]
}
