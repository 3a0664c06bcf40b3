//! The unwind data of a function (`UNWIND_INFO`), read.

use object::pe;

use super::{MAX_CHAIN, UnwindError};
use crate::function::{FunctionTable, INDIRECT, RuntimeFunction};

/// `UNW_FLAG_EHANDLER`: the handler is called for exceptions.
const EXCEPTION_HANDLER: u8 = 1;
/// `UNW_FLAG_UHANDLER`: the handler is called when the frame is unwound.
const TERMINATION_HANDLER: u8 = 2;
/// `UNW_FLAG_CHAININFO`: the unwind data ends with the entry it continues.
const CHAIN_INFO: u8 = 4;
/// Bytes before the codes.
const HEAD: u32 = 4;

/// The language-specific handler of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handler {
    /// RVA of the routine, `__C_specific_handler` for instance.
    pub rva: u32,
    /// RVA of its data; what is there is between the compiler and the handler.
    pub data: u32,
    /// Whether it is called for exceptions (`UNW_FLAG_EHANDLER`).
    pub exception: bool,
    /// Whether it is called when the frame is unwound (`UNW_FLAG_UHANDLER`).
    pub termination: bool,
}

/// What an instruction of a prologue did, in the terms of the unwind codes. Registers by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Pushed a register (`UWOP_PUSH_NONVOL`).
    Push(u8),
    /// Allocated bytes on the stack (`UWOP_ALLOC_SMALL`, `UWOP_ALLOC_LARGE`).
    Allocate(u32),
    /// Set the frame pointer (`UWOP_SET_FPREG`).
    SetFrame,
    /// Saved a register so many bytes above the frame's base (`UWOP_SAVE_NONVOL`, `UWOP_SAVE_NONVOL_FAR`).
    Save(u8, u32),
    /// Saved a whole XMM register likewise (`UWOP_SAVE_XMM128`, `UWOP_SAVE_XMM128_FAR`).
    SaveXmm(u8, u32),
    /// The processor pushed a machine frame, with an error code or without (`UWOP_PUSH_MACHFRAME`).
    MachineFrame(bool),
    /// Describes epilogues (`UWOP_EPILOG`, version 2): the code's info and offset as they are.
    Epilogue(u8),
}

/// Unwind data of one entry of the function table.
#[derive(Clone, Copy, Debug)]
pub struct UnwindInfo<'a> {
    rva: u32,
    version: u8,
    flags: u8,
    prologue: u8,
    frame: u8,
    codes: &'a [u8],
    /// The handler or the entry that is continued.
    tail: Tail,
}

#[derive(Clone, Copy, Debug)]
enum Tail {
    Nothing,
    Handler(Handler),
    Chained(RuntimeFunction),
}

impl<'a> FunctionTable<'a> {
    /// Reads the unwind data of an entry.
    ///
    /// # Errors
    ///
    /// [`UnwindError::Outside`] and [`UnwindError::Version`]; the codes are checked when they are read.
    pub fn unwind_info(&self, function: RuntimeFunction) -> Result<UnwindInfo<'a>, UnwindError> {
        let rva = function.unwind;
        let outside = UnwindError::Outside { rva };
        let Some(&[first, prologue, count, frame]) = self.image.file_bytes(rva, HEAD) else {
            return Err(outside);
        };
        let (version, flags) = (first & 7, first >> 3);
        if !matches!(version, 1 | 2) {
            return Err(UnwindError::Version { rva, version });
        }
        let size = u32::from(count) * 2;
        let at = rva.checked_add(HEAD).ok_or(outside)?;
        let codes = self.image.file_bytes(at, size).ok_or(outside)?;
        // An even number of slots is there, whatever the count says.
        let behind = at.checked_add(size.next_multiple_of(4)).ok_or(outside)?;
        let tail = if flags & CHAIN_INFO != 0 {
            let raw: pe::ImageRuntimeFunctionEntry = self.image.structure(behind).ok_or(outside)?;
            Tail::Chained(RuntimeFunction::from_raw(&raw))
        } else if flags & (EXCEPTION_HANDLER | TERMINATION_HANDLER) != 0 {
            Tail::Handler(Handler {
                rva: self.image.read_u32(behind).ok_or(outside)?,
                data: behind.checked_add(4).ok_or(outside)?,
                exception: flags & EXCEPTION_HANDLER != 0,
                termination: flags & TERMINATION_HANDLER != 0,
            })
        } else {
            Tail::Nothing
        };
        Ok(UnwindInfo { rva, version, flags, prologue, frame, codes, tail })
    }

    /// Returns the entry that an indirect one stands for, itself otherwise.
    ///
    /// # Errors
    ///
    /// [`UnwindError::Outside`], and [`UnwindError::Chain`] when it leads to ever more of them.
    pub fn resolve(&self, function: RuntimeFunction) -> Result<RuntimeFunction, UnwindError> {
        let mut current = function;
        for _ in 0..MAX_CHAIN {
            if current.unwind & INDIRECT == 0 {
                return Ok(current);
            }
            let at = current.unwind & !INDIRECT;
            let raw: pe::ImageRuntimeFunctionEntry =
                self.image.structure(at).ok_or(UnwindError::Outside { rva: at })?;
            current = RuntimeFunction::from_raw(&raw);
        }
        Err(UnwindError::Chain { rva: function.unwind })
    }
}

impl<'a> UnwindInfo<'a> {
    /// Returns the version: 1, or 2 where epilogues are described.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Returns the bytes of the prologue.
    pub fn prologue(&self) -> u32 {
        u32::from(self.prologue)
    }

    /// Returns number of the frame pointer and the bytes it lies above the frame's base, if there is one.
    pub fn frame(&self) -> Option<(u8, u32)> {
        (self.frame & 0xf != 0).then_some((self.frame & 0xf, u32::from(self.frame >> 4) * 16))
    }

    /// Whether it continues that of another entry (`UNW_FLAG_CHAININFO`).
    pub fn is_chained(&self) -> bool {
        self.flags & CHAIN_INFO != 0
    }

    /// Returns the entry it continues.
    pub fn chained(&self) -> Option<RuntimeFunction> {
        match self.tail {
            Tail::Chained(function) => Some(function),
            _ => None,
        }
    }

    /// Returns the language-specific handler.
    pub fn handler(&self) -> Option<Handler> {
        match self.tail {
            Tail::Handler(handler) => Some(handler),
            _ => None,
        }
    }

    /// Returns the codes: the last instruction of the prologue comes first.
    pub fn operations(&self) -> Operations<'a> {
        Operations { rva: self.rva, version: self.version, slots: self.codes }
    }
}

/// The codes of unwind data; each with the offset behind its instruction in the prologue. Ends after an error.
#[derive(Clone, Debug)]
pub struct Operations<'a> {
    rva: u32,
    version: u8,
    slots: &'a [u8],
}

impl Operations<'_> {
    /// Takes a slot as a number.
    fn slot(&mut self) -> Option<u32> {
        let (slot, rest) = self.slots.split_first_chunk::<2>()?;
        self.slots = rest;
        Some(u32::from(u16::from_le_bytes(*slot)))
    }

    /// Takes two slots as a number.
    fn slots(&mut self) -> Option<u32> {
        Some(self.slot()? | self.slot()? << 16)
    }

    fn operation(&mut self, operation: u8, info: u8) -> Option<Operation> {
        Some(match (operation, info) {
            (0, _) => Operation::Push(info),
            (1, 0) => Operation::Allocate(self.slot()? * 8),
            (1, 1) => Operation::Allocate(self.slots()?),
            (2, _) => Operation::Allocate(u32::from(info) * 8 + 8),
            (3, _) => Operation::SetFrame,
            (4, _) => Operation::Save(info, self.slot()? * 8),
            (5, _) => Operation::Save(info, self.slots()?),
            (6, _) if self.version == 2 => Operation::Epilogue(info),
            (8, _) => Operation::SaveXmm(info, self.slot()? * 16),
            (9, _) => Operation::SaveXmm(info, self.slots()?),
            (10, 0 | 1) => Operation::MachineFrame(info == 1),
            _ => return None,
        })
    }
}

impl Iterator for Operations<'_> {
    type Item = Result<(u8, Operation), UnwindError>;

    fn next(&mut self) -> Option<Self::Item> {
        let [offset, code] = self.slot()?.to_le_bytes()[..2] else { return None };
        let found = self.operation(code & 0xf, code >> 4);
        if found.is_none() {
            self.slots = &[];
        }
        Some(
            found
                .map(|operation| (offset, operation))
                .ok_or(UnwindError::Code { rva: self.rva, operation: code & 0xf }),
        )
    }
}
