//! Traps: what the processor raises while driver code runs, and what faults in host code on a driver's behalf.
//!
//! Linux turns both into signals. A trap in driver code is either emulated (privileged instructions of a short list, reads
//! of `KUSER_SHARED_DATA`), or dispatched as an exception, or ends the world with the bugcheck Windows would show. A fault in host code means
//! that the kernel followed something a driver damaged; the call being served is to blame. Handlers run on their own stack with
//! all signals held back; a fault inside a handler kills the process, which its parent tells as such.

use std::sync::atomic::Ordering;

use nt::{BugCheck, Irql};
use record::{Access, PoolMisuse, PoolNoticed, PoolWrong, What};

use super::emulate::{self, Emulated};
use super::exception::Record;
use super::fault::{self, RIP, RSP, Text, Trapped};
use super::place::Place;
use super::processor::{self, NOW};
use super::registers::Context;
use super::{exit, giant, instructions, stack, sys, world};
use crate::plan;

/// `STATUS_ACCESS_VIOLATION`.
const ACCESS_VIOLATION: u64 = 0xC000_0005;

/// Installs the handlers.
pub(crate) fn install() -> std::io::Result<()> {
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGTRAP, libc::SIGSYS] {
        sys::handle_signal(signal, on_trap)?;
    }
    Ok(())
}

/// One trap.
pub(super) struct Trap {
    signal: libc::c_int,
    /// Hardware vector.
    vector: u64,
    /// Hardware error code; for page faults bit 0 present, bit 1 write, bit 4 fetch.
    error: u64,
    /// Address touched, for page faults.
    address: u64,
    registers: [u64; 18],
    code: Code,
    /// Where the records lie that handlers were shown; 0 for nowhere.
    records: [u64; 2],
}

/// The instruction's bytes, as many as can be read safely.
struct Code {
    bytes: [u8; 15],
    length: usize,
}

extern "C" fn on_trap(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid context to an `SA_SIGINFO` handler; it is this handler's alone.
    let Some(mut context) = (unsafe { Context::new(context) }) else { sys::exit_now(exit::NO_MACHINE) };
    // SAFETY: likewise for the information.
    let info = unsafe { &*info };
    if info.si_code <= 0 {
        // Sent by a process, not raised by the processor: nothing that a driver did.
        return sys::die_of(signal);
    }
    // SAFETY: the signals handled here are those of the processor, whose information has an address (zero for some).
    let address = unsafe { info.si_addr() } as u64;
    if !plan::is_guest(context.word(RIP), 1) && instructions::of_host(&mut context) {
        return;
    }
    let _held = giant::hold();
    let mut registers = context.words();
    // Both leave RIP behind the instruction; Windows reports the instruction.
    registers[RIP] -= match (signal, context.vector()) {
        (libc::SIGSYS, _) => 2, // `syscall`, `int 80h`
        (libc::SIGTRAP, 3) => 1,
        _ => 0,
    };
    let rip = registers[RIP];
    let mut trap = Trap {
        signal,
        vector: context.vector(),
        error: context.error(),
        address,
        registers,
        code: Code { bytes: [0; 15], length: 0 },
        records: [0; 2],
    };
    trap.code = trap.fetch();
    let in_driver = plan::is_driver_code(rip) && !trap.is_fetch();
    if !in_driver && !trap.is_fetch() && trap.is_page_fault() && world::open_paged(address) {
        return;
    }
    if in_driver && signal != libc::SIGSYS {
        match emulate::instruction(&mut context, trap.bytes(), trap.vector, trap.address) {
            Emulated::Done => return go_on(&mut context),
            Emulated::Bugcheck(code, parameters, text) => trap.end(code, parameters, text.bytes()),
            Emulated::No => {}
        }
    }
    if trap.is_exception()
        && let Some(entry) = processor::raise_at(rip, trap.what())
    {
        return context.set_word(RIP, entry);
    }
    trap.classify(in_driver)
}

/// Lets driver code go on behind an emulated instruction, by way of a scheduling point.
fn go_on(context: &mut Context<'_>) {
    if let Some(point) = processor::resume_at(context.word(RIP)) {
        context.set_word(RIP, point);
    } else {
        world::before_driver();
    }
}

impl Trap {
    /// Takes the trap of the driver code that was sent to have it dispatched, with these registers.
    pub(super) fn of_driver(registers: &[u64; 18]) -> Self {
        let [what, error, address] = processor::raised();
        let mut trap = Self {
            signal: (what >> 32) as libc::c_int,
            vector: what & 0xFFFF_FFFF,
            error,
            address,
            registers: *registers,
            code: Code { bytes: [0; 15], length: 0 },
            records: [0; 2],
        };
        trap.code = trap.fetch();
        trap
    }

    /// What is kept for that.
    fn what(&self) -> [u64; 3] {
        [u64::from(self.signal.cast_unsigned()) << 32 | self.vector & 0xFFFF_FFFF, self.error, self.address]
    }

    /// Whether driver code can handle it: all that is no bugcheck by itself.
    fn is_exception(&self) -> bool {
        if self.signal == libc::SIGSYS {
            return false;
        }
        if !self.is_page_fault() {
            return plan::is_driver_code(self.rip());
        }
        let by_driver = plan::is_driver_code(self.rip()) || self.is_fetch();
        by_driver && self.address < plan::USER.end && processor::irql() < Irql::DISPATCH
    }

    /// Makes its record.
    pub(super) fn record(&self) -> Record {
        if self.is_page_fault() {
            let parameters = [self.operation(), self.address];
            return Record::new(ACCESS_VIOLATION as u32, self.rip(), &parameters);
        }
        let (status, _) = self.status();
        let parameters: &[u64] = if status == ACCESS_VIOLATION { &[0, u64::MAX] } else { &[] };
        Record::new(status as u32, self.rip(), parameters)
    }

    /// Ends in the bugcheck of an exception that nobody handled; where its records lie is among the parameters.
    pub(super) fn unhandled(mut self, records: [u64; 2]) -> ! {
        self.records = records;
        self.classify(plan::is_driver_code(self.rip()) && !self.is_fetch())
    }

    /// What a page fault did, as records and bugchecks tell it.
    fn operation(&self) -> u64 {
        if self.is_fetch() { 8 } else { u64::from(self.error & 2 != 0) }
    }

    fn rip(&self) -> u64 {
        self.registers[RIP]
    }

    fn bytes(&self) -> &[u8] {
        &self.code.bytes[..self.code.length]
    }

    fn is_page_fault(&self) -> bool {
        self.vector == 14 && self.signal != libc::SIGSYS
    }

    /// The instruction itself could not be fetched: a jump into nowhere.
    fn is_fetch(&self) -> bool {
        self.is_page_fault() && self.error & 0x10 != 0
    }

    /// Reads the instruction, no further than its page: the next one may not be there.
    fn fetch(&self) -> Code {
        let mut code = Code { bytes: [0; 15], length: 0 };
        if !plan::is_driver_code(self.rip()) || self.is_fetch() {
            return code;
        }
        // Another processor may have taken the image away since.
        if giant::is_on() && !sys::is_readable(self.rip()) {
            return code;
        }
        let left = plan::PAGE - self.rip() % plan::PAGE;
        code.length = left.min(15) as usize;
        for (offset, byte) in (0..).zip(&mut code.bytes[..code.length]) {
            let address = std::ptr::with_exposed_provenance::<u8>((self.rip() + offset) as usize);
            // SAFETY: the instruction at RIP was fetched, so its page is mapped and readable; where several processors run at the same
            // time, that was looked at again, under the lock without which no image is unmapped.
            *byte = unsafe { address.read_volatile() };
        }
        code
    }

    fn end(&self, code: BugCheck, parameters: [u64; 4], text: &[u8]) -> ! {
        self.end_at(code, parameters, self.blamed(), text)
    }

    fn end_at(&self, code: BugCheck, parameters: [u64; 4], at: u64, text: &[u8]) -> ! {
        let trapped = Trapped { registers: &self.registers, instruction: self.bytes() };
        // Host registers say nothing about the driver, and hold addresses that differ from run to run.
        let of_driver = plan::is_driver_code(self.rip()) || self.is_fetch();
        fault::bugcheck(code, parameters, at, text, of_driver.then_some(trapped))
    }

    /// The driver's instruction; behind a bad jump its caller; in host code the call being served.
    pub(super) fn blamed(&self) -> u64 {
        if plan::is_driver_code(self.rip()) && !self.is_fetch() {
            return self.rip();
        }
        if self.is_fetch() || plan::ABSENT.contains(self.rip()) {
            return self.caller().unwrap_or_else(|| self.rip());
        }
        NOW.caller.load(Ordering::Relaxed)
    }

    /// The address behind the call that led here; where the stack does not tell, the first word that looks like one.
    fn caller(&self) -> Option<u64> {
        let called = stack::of_trap(&self.registers).iter().next();
        called.or_else(|| fault::return_addresses(self.registers[RSP]).next())
    }

    fn classify(&self, in_driver: bool) -> ! {
        if self.is_page_fault() {
            self.absent_import();
            self.stack_overflow();
            self.page_fault(in_driver);
        }
        let (status, what) = self.status();
        self.exception(status, 0, u64::MAX, in_driver, format_args!("{what}"))
    }

    /// What status it has, unless it is a page fault, and what it is.
    fn status(&self) -> (u64, &'static str) {
        match (self.vector, self.signal) {
            (_, libc::SIGSYS) => (0xC000_0096, "a Linux system call, which a driver has no business with"),
            (0, _) => (0xC000_0094, "a division by zero or whose result does not fit"),
            (1, _) => (0x8000_0004, "a single-step trap"),
            (3, _) => (0x8000_0003, "a breakpoint; no debugger is there"),
            (4, _) => (0xC000_0095, "an overflow trap"),
            (5, _) => (0xC000_008C, "a bound that was exceeded"),
            (6, _) => (0xC000_001D, "no instruction of this processor"),
            (13, _) => (
                ACCESS_VIOLATION,
                "a protection fault: an address that cannot exist, or what only ring 0 may do",
            ),
            (16 | 19, _) => (0xC000_02B4, "a floating-point exception"),
            (17, _) => (0x8000_0002, "a misaligned access"),
            _ => (0xC000_0005, "a trap that this machine does not know"),
        }
    }

    /// An exception that no handler takes.
    fn exception(
        &self,
        status: u64,
        first: u64,
        second: u64,
        in_driver: bool,
        what: std::fmt::Arguments<'_>,
    ) -> ! {
        let rip = self.rip_for_report();
        let text = if in_driver {
            Text::new(format_args!("driver code ran into {what}"))
        } else {
            Text::new(format_args!("kernel code, on behalf of a driver's call, ran into {what}"))
        };
        if NOW.dpc.load(Ordering::Relaxed) != 0 {
            self.end(BugCheck::KMODE_EXCEPTION_NOT_HANDLED, [status, rip, first, second], text.bytes());
        }
        let [record, context] = self.records;
        self.end(BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED, [status, rip, record, context], text.bytes())
    }

    /// Returns unless the address is that of an absent import.
    fn absent_import(&self) {
        let trapped = Trapped { registers: &self.registers, instruction: self.bytes() };
        let Some((module, name)) = world::absent_at(self.address) else { return };
        let access = match (self.is_fetch(), self.error & 2 != 0) {
            (true, _) => 0,
            (false, false) => 1,
            (false, true) => 2,
        };
        let [_, rcx, rdx, ..] = self.registers;
        let arguments = [rcx, rdx, self.registers[8], self.registers[9]];
        fault::absent(access, arguments, &module, &name, self.blamed(), trapped)
    }

    /// Returns unless the address lies in a guard of the current stacks.
    fn stack_overflow(&self) {
        let top = NOW.stack.load(Ordering::Relaxed);
        let limit = top.saturating_sub(plan::STACK_SIZE);
        let guard = limit.saturating_sub(plan::STACK_STRIDE - plan::STACK_SIZE)..limit;
        let host = NOW.host_guard.load(Ordering::Relaxed);
        let in_host_guard = host != 0 && (host..host + (64 << 10)).contains(&self.address);
        if top == 0 || !(guard.contains(&self.address) || in_host_guard) {
            return;
        }
        let text = Text::new(format_args!(
            "the kernel stack of {} bytes is used up: too deep a recursion, or too large local variables",
            plan::STACK_SIZE
        ));
        self.end(BugCheck::UNEXPECTED_KERNEL_MODE_TRAP, [8, 0, 0, 0], text.bytes())
    }

    fn page_fault(&self, in_driver: bool) -> ! {
        let address = self.address;
        let irql = processor::irql();
        let write = self.error & 2 != 0;
        let operation = self.operation();
        let verb = match (self.is_fetch(), write) {
            (true, _) => "executed",
            (false, true) => "wrote to",
            (false, false) => "read from",
        };
        let who =
            if in_driver || self.is_fetch() { "driver code" } else { "the kernel, serving a driver's call," };
        let place = Place::of(address);
        let blamed = self.blamed();
        if let Place::Unloaded = place
            && self.is_fetch()
        {
            let text = Text::new(format_args!(
                "code at {address:#x} was called after its driver had been unloaded; something still pointed there"
            ));
            let code = BugCheck::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS;
            self.end_at(code, [address, operation, self.rip(), 0], address, text.bytes());
        }
        if let Some(name) = world::shut_section(address) {
            let text = Text::new(format_args!(
                "{who} {verb} {address:#x} in the pageable section `{name}` (at {irql})"
            ));
            let code = BugCheck::DRIVER_PORTION_MUST_BE_NONPAGED;
            self.end(code, [address, u64::from(irql.0), operation, blamed], text.bytes());
        }
        self.pool_fault(in_driver, who, verb);
        let text = Text::new(format_args!("{who} {verb} {address:#x}, {place} (at {irql})"));
        if irql >= Irql::DISPATCH {
            let code = if in_driver || self.is_fetch() {
                BugCheck::DRIVER_IRQL_NOT_LESS_OR_EQUAL
            } else {
                BugCheck::IRQL_NOT_LESS_OR_EQUAL
            };
            self.end(code, [address, u64::from(irql.0), operation, blamed], text.bytes());
        }
        if write && matches!(place, Place::Image | Place::Kernel) {
            self.end(BugCheck::ATTEMPTED_WRITE_TO_READONLY_MEMORY, [address, 0, 0, 0], text.bytes());
        }
        if self.is_fetch() && self.error & 1 != 0 && plan::is_guest(address, 1) {
            self.end(BugCheck::ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, [address, 0, 0, 0], text.bytes());
        }
        if address >= plan::USER.end {
            self.end(
                BugCheck::PAGE_FAULT_IN_NONPAGED_AREA,
                [address, operation, self.rip_for_report(), 0],
                text.bytes(),
            );
        }
        let rip = self.rip_for_report();
        if NOW.dpc.load(Ordering::Relaxed) != 0 {
            let code = BugCheck::KMODE_EXCEPTION_NOT_HANDLED;
            self.end(code, [ACCESS_VIOLATION, rip, operation, address], text.bytes());
        }
        let [record, context] = self.records;
        let code = BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED;
        self.end(code, [ACCESS_VIOLATION, rip, record, context], text.bytes())
    }

    /// Returns unless something is known of the pool block at the address or beside it.
    fn pool_fault(&self, in_driver: bool, who: &str, verb: &str) {
        let address = self.address;
        let Some(found) = world::pool_place(address) else { return };
        let access = match (self.is_fetch(), self.error & 2 != 0) {
            (true, _) => Access::Call,
            (false, true) => Access::Write,
            (false, false) => Access::Read,
        };
        let shut = found.block.paged && processor::irql() >= Irql::DISPATCH;
        let inside = match access {
            Access::Call if !shut => Some(PoolWrong::Execute),
            _ => shut.then_some(PoolWrong::Paged),
        };
        let Some(wrong) = found.wrong.or(inside) else { return };
        let (block, irql) = (found.block, processor::irql());
        let at = self.blamed();
        let noticed = PoolNoticed::Act;
        world::tell(What::PoolMisused(PoolMisuse {
            wrong,
            noticed,
            address,
            access: Some(access),
            at: (at != 0).then_some(at),
            tag: 0,
            block: Some(block),
        }));
        let place = match wrong {
            PoolWrong::Overrun => "past the end of a pool block",
            PoolWrong::Underrun => "before a pool block",
            PoolWrong::Freed => "in a pool block that was freed",
            PoolWrong::Paged => "in paged pool",
            _ => "in a pool block that is not executable",
        };
        let described = executive::mm::describe_block(&block);
        let text = Text::new(format_args!("{who} {verb} {address:#x}, {place} (at {irql}): {described}"));
        let by_driver = in_driver || self.is_fetch();
        let operation = if self.is_fetch() { 8 } else { u64::from(access == Access::Write) };
        let (code, parameters) = match wrong {
            PoolWrong::Execute => (BugCheck::ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, [address, 0, 0, 0]),
            _ if irql >= Irql::DISPATCH && by_driver => {
                (BugCheck::DRIVER_IRQL_NOT_LESS_OR_EQUAL, [address, u64::from(irql.0), operation, at])
            }
            _ if irql >= Irql::DISPATCH => {
                (BugCheck::IRQL_NOT_LESS_OR_EQUAL, [address, u64::from(irql.0), operation, at])
            }
            PoolWrong::Freed if by_driver => {
                (BugCheck::DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL, [address, operation, at, 0])
            }
            PoolWrong::Freed => (BugCheck::PAGE_FAULT_IN_FREED_SPECIAL_POOL, [address, operation, at, 0]),
            _ if by_driver => {
                (BugCheck::DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION, [address, operation, at, 0])
            }
            _ => (BugCheck::PAGE_FAULT_BEYOND_END_OF_ALLOCATION, [address, operation, at, 0]),
        };
        self.end(code, parameters, text.bytes())
    }

    /// RIP where it is a guest address; host addresses differ from run to run, so the blamed one stands for them.
    fn rip_for_report(&self) -> u64 {
        if plan::is_guest(self.rip(), 1) || self.is_fetch() { self.rip() } else { self.blamed() }
    }
}
