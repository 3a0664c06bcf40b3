//! The registers that unwinding restores.

/// Position of RSP in [`Context::registers`].
pub(super) const RSP: usize = 4;

/// Registers of a frame: what `CONTEXT` holds of them on Windows, as far as unwinding concerns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15: the order of their numbers in instructions.
    pub registers: [u64; 16],
    /// Instruction pointer: in the innermost frame where it stands, in callers where the call returns to.
    pub rip: u64,
    /// XMM0 to XMM15.
    pub xmm: [u128; 16],
}

impl Context {
    /// Returns the stack pointer.
    pub fn rsp(&self) -> u64 {
        self.registers[RSP]
    }

    /// Sets the stack pointer.
    pub fn set_rsp(&mut self, rsp: u64) {
        self.registers[RSP] = rsp;
    }
}
