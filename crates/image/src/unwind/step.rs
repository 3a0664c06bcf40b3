//! One step: from a frame to its caller's.

use super::context::{Context, RSP};
use super::epilogue::{self, Epilogue, Release};
use super::info::{Handler, Operation, UnwindInfo};
use super::{MAX_CHAIN, UnwindError};
use crate::function::{FunctionTable, RuntimeFunction};

/// What is known of a frame that was unwound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Entry of the function table, `None` for a leaf function.
    pub function: Option<RuntimeFunction>,
    /// Base of the frame, which handlers get (`EstablisherFrame`).
    pub establisher: u64,
    /// The handler, unless the instruction lies in the prologue or an epilogue, where no handler is called.
    pub handler: Option<Handler>,
    /// Whether the next frame was interrupted (a machine frame): its RIP is an instruction that did not run yet, not one
    /// that a call returns to.
    pub interrupted: bool,
}

impl FunctionTable<'_> {
    /// Makes the registers of a frame those of its caller. `base` is where the image lies, `read` reads a word of the stack.
    ///
    /// RIP outside of every function of the table is taken for a leaf function.
    ///
    /// # Errors
    ///
    /// An [`UnwindError`]; `context` is unchanged then.
    pub fn unwind(
        &self,
        base: u64,
        context: &mut Context,
        mut read: impl FnMut(u64) -> Option<u64>,
    ) -> Result<Frame, UnwindError> {
        let mut step = Step { context: *context, read: &mut read, machine_frame: false };
        let rva = u32::try_from(context.rip.wrapping_sub(base)).ok();
        let entry = rva.and_then(|rva| Some((rva, self.lookup(rva)?)));
        let mut frame =
            Frame { function: None, establisher: context.rsp(), handler: None, interrupted: false };
        if let Some((rva, function)) = entry {
            self.undo(&mut step, rva, self.resolve(function)?, &mut frame)?;
        }
        if !step.machine_frame {
            step.context.rip = step.pop()?;
            if step.context.rsp() <= context.rsp() {
                return Err(UnwindError::NoProgress { rsp: context.rsp() });
            }
        }
        frame.interrupted = step.machine_frame;
        *context = step.context;
        Ok(frame)
    }

    fn undo<R: FnMut(u64) -> Option<u64>>(
        &self,
        step: &mut Step<'_, R>,
        rva: u32,
        function: RuntimeFunction,
        frame: &mut Frame,
    ) -> Result<(), UnwindError> {
        frame.function = Some(function);
        let info = self.unwind_info(function)?;
        // An indirect entry may stand for one elsewhere, whose prologue is over then.
        let offset = rva.wrapping_sub(function.begin);
        let in_prologue = offset < info.prologue();
        frame.establisher = base_of(&info, &step.context, offset)?;
        if !in_prologue
            && function.contains(rva)
            && let Some(epilogue) = epilogue::rest(self, function, &info, rva)
        {
            return step.finish(&epilogue);
        }
        step.codes(&info, offset, frame.establisher)?;
        let mut last = info;
        for _ in 0..MAX_CHAIN {
            let Some(next) = last.chained() else {
                frame.handler = last.handler().filter(|_| !in_prologue);
                return Ok(());
            };
            last = self.unwind_info(self.resolve(next)?)?;
            // The part that is continued ran its whole prologue.
            step.codes(&last, u32::MAX, frame.establisher)?;
        }
        Err(UnwindError::Chain { rva: function.unwind })
    }
}

/// Returns the base of the frame: what saved registers are relative to. The frame pointer gives it once it is set.
fn base_of(info: &UnwindInfo<'_>, context: &Context, offset: u32) -> Result<u64, UnwindError> {
    let Some((register, above)) = info.frame() else { return Ok(context.rsp()) };
    let mut set = offset >= info.prologue() || info.is_chained();
    if !set {
        for code in info.operations() {
            let (behind, operation) = code?;
            set |= operation == Operation::SetFrame && offset >= u32::from(behind);
        }
    }
    let pointer = context.registers[usize::from(register)];
    Ok(if set { pointer.wrapping_sub(u64::from(above)) } else { context.rsp() })
}

/// The registers under way from one frame to the next.
struct Step<'r, R> {
    context: Context,
    read: &'r mut R,
    /// RIP and RSP came from a machine frame.
    machine_frame: bool,
}

impl<R: FnMut(u64) -> Option<u64>> Step<'_, R> {
    fn read(&mut self, address: u64) -> Result<u64, UnwindError> {
        (self.read)(address).ok_or(UnwindError::Stack { address })
    }

    fn pop(&mut self) -> Result<u64, UnwindError> {
        let rsp = self.context.rsp();
        let value = self.read(rsp)?;
        self.context.set_rsp(rsp.wrapping_add(8));
        Ok(value)
    }

    /// Carries out the rest of an epilogue, all but its last instruction.
    fn finish(&mut self, epilogue: &Epilogue) -> Result<(), UnwindError> {
        let registers = &mut self.context.registers;
        match epilogue.release {
            Release::Nothing => {}
            Release::Add(bytes) => registers[RSP] = registers[RSP].wrapping_add(bytes),
            Release::FromFrame(frame, displacement) => {
                registers[RSP] = registers[usize::from(frame)].wrapping_add(displacement);
            }
        }
        for register in epilogue.pops() {
            self.context.registers[usize::from(*register)] = self.pop()?;
        }
        Ok(())
    }

    /// Undoes the instructions of a prologue that end at or before `offset`, the last one first.
    fn codes(&mut self, info: &UnwindInfo<'_>, offset: u32, base: u64) -> Result<(), UnwindError> {
        for code in info.operations() {
            let (behind, operation) = code?;
            if matches!(operation, Operation::Epilogue(_)) || offset < u32::from(behind) {
                continue;
            }
            match operation {
                Operation::Push(register) => {
                    self.context.registers[usize::from(register)] = self.pop()?;
                }
                Operation::Allocate(bytes) => {
                    self.context.set_rsp(self.context.rsp().wrapping_add(u64::from(bytes)));
                }
                Operation::SetFrame => {
                    if let Some((register, above)) = info.frame() {
                        let pointer = self.context.registers[usize::from(register)];
                        self.context.set_rsp(pointer.wrapping_sub(u64::from(above)));
                    }
                }
                Operation::Save(register, above) => {
                    let at = base.wrapping_add(u64::from(above));
                    self.context.registers[usize::from(register)] = self.read(at)?;
                }
                Operation::SaveXmm(register, above) => {
                    let at = base.wrapping_add(u64::from(above));
                    let (low, high) = (self.read(at)?, self.read(at.wrapping_add(8))?);
                    self.context.xmm[usize::from(register)] = u128::from(high) << 64 | u128::from(low);
                }
                Operation::MachineFrame(error_code) => {
                    let at = self.context.rsp().wrapping_add(if error_code { 8 } else { 0 });
                    self.context.rip = self.read(at)?;
                    // RIP, CS, EFLAGS, RSP, SS.
                    let rsp = self.read(at.wrapping_add(24))?;
                    self.context.set_rsp(rsp);
                    self.machine_frame = true;
                }
                Operation::Epilogue(_) => {}
            }
        }
        Ok(())
    }
}
