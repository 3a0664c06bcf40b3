//! A fiber: one thread of the virtual machine, with a host stack and a driver stack.

use std::cell::{Cell, RefCell};
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;

use nt::KTHREAD;

use super::context;
use super::memory;
use super::processor::{self, NOW};
use super::stack::{self, From, Stack};
use super::sys::{self, Access};
use crate::plan;

/// Bytes of a host stack. Only touched pages cost memory.
const HOST_STACK: usize = 1 << 20;

/// Bytes of the guard below it.
const HOST_GUARD: usize = 64 << 10;

/// Host stack of a fiber.
#[derive(Debug)]
struct HostStack {
    guard: u64,
}

impl HostStack {
    /// Makes host stack `number`.
    fn new(number: u64) -> io::Result<Self> {
        const { assert!((HOST_GUARD + HOST_STACK) as u64 <= plan::HOST_STACK_STRIDE) };
        let guard = plan::HOST_STACKS + number * plan::HOST_STACK_STRIDE;
        sys::reserve(guard, (HOST_GUARD + HOST_STACK) as u64)?;
        let stack = Self { guard };
        // SAFETY: reserved just now, and nothing refers to it yet.
        unsafe { sys::protect(guard + HOST_GUARD as u64, HOST_STACK as u64, Access::ReadWrite) }?;
        Ok(stack)
    }

    fn top(&self) -> *mut u8 {
        std::ptr::with_exposed_provenance_mut(self.guard as usize + HOST_GUARD + HOST_STACK)
    }
}

impl Drop for HostStack {
    fn drop(&mut self) {
        let start = std::ptr::with_exposed_provenance_mut(self.guard as usize);
        // SAFETY: reserved by `new`; the scheduler drops a fiber only from another stack, after it ended.
        unsafe { libc::munmap(start, HOST_GUARD + HOST_STACK) };
    }
}

/// Driver stack number `n` of the plan.
#[derive(Debug)]
pub(crate) struct DriverStack {
    number: u64,
}

impl DriverStack {
    /// Most stacks at a time.
    pub(crate) const MOST: u64 = plan::STACKS.size / plan::STACK_STRIDE;

    /// Makes stack `number` accessible.
    pub(crate) fn new(number: u64) -> Option<Self> {
        let stack = (number < Self::MOST).then_some(Self { number })?;
        memory::commit(stack.limit(), plan::STACK_SIZE)?;
        Some(stack)
    }

    /// Returns the first address after the stack.
    pub(crate) fn top(&self) -> u64 {
        // One page short of the stride, so that running off the upper end is a fault too.
        plan::STACKS.base + (self.number + 1) * plan::STACK_STRIDE - plan::PAGE
    }

    /// Returns the lowest address of the stack.
    pub(crate) fn limit(&self) -> u64 {
        self.top() - plan::STACK_SIZE
    }

    /// Returns the number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for DriverStack {
    fn drop(&mut self) {
        // SAFETY: guest memory that no reference leads to; the fiber that ran on it has ended.
        unsafe { memory::withdraw(self.limit(), plan::STACK_SIZE) };
    }
}

/// What a fiber is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It can run and has no processor.
    Ready,
    /// It has a processor, which runs, or runs another processor's thread for a while.
    Running,
    /// It waits for an unpark, at most until then.
    Parked(Option<i64>),
    /// It never runs again.
    Ended,
}

/// A lock that a thread spins on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spin {
    /// Its address.
    pub(crate) lock: u64,
    /// What its lower half held. As long as it does not change, looking again is in vain.
    seen: u32,
}

impl Spin {
    /// Looks at the lock at `address`.
    pub(crate) fn on(address: u64) -> Self {
        Self { lock: address, seen: Self::look(address) }
    }

    fn look(address: u64) -> u32 {
        let word = std::ptr::with_exposed_provenance::<u32>(address as usize);
        // SAFETY: whoever spins on a lock promises that it lives meanwhile; where a driver broke that promise, the access
        // traps and the trap ends the world. Locks are aligned words, and 32 bits of them are read at once.
        unsafe { word.read_volatile() }
    }

    /// Returns whether there is nothing new to see.
    pub(crate) fn in_vain(self) -> bool {
        Self::look(self.lock) == self.seen
    }
}

/// A thread of the virtual machine.
pub(crate) struct Fiber {
    pub(crate) thread: NonNull<KTHREAD>,
    pub(crate) id: u32,
    pub(crate) state: Cell<State>,
    /// An unpark that came before the park.
    pub(crate) token: Cell<bool>,
    /// Used where threads are chosen by priority.
    pub(crate) priority: Cell<u64>,
    /// The processor it has, or had last.
    pub(crate) processor: Cell<u8>,
    /// Processors it may have, as a set; `None`: all.
    pub(crate) affinity: Cell<Option<u64>>,
    /// The lock it spins on.
    pub(crate) spin: Cell<Option<Spin>>,
    pub(crate) driver_stack: DriverStack,
    host_stack: HostStack,
    saved: Cell<u64>,
    slots: Cell<[u64; 2]>,
    caller: Cell<u64>,
    entry: Cell<u64>,
    dpc: Cell<u32>,
    lowered: Cell<bool>,
    irql: Cell<nt::Irql>,
    body: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl std::fmt::Debug for Fiber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fiber").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}

impl Fiber {
    /// Makes a fiber that will run `body`, which must not return.
    pub(crate) fn new(
        thread: NonNull<KTHREAD>,
        id: u32,
        driver_stack: DriverStack,
        body: Box<dyn FnOnce()>,
    ) -> io::Result<Rc<Self>> {
        let number = driver_stack.number();
        let fiber = Rc::new(Self {
            thread,
            id,
            state: Cell::new(State::Ready),
            token: Cell::new(false),
            priority: Cell::new(0),
            processor: Cell::new(0),
            affinity: Cell::new(None),
            spin: Cell::new(None),
            lowered: Cell::new(false),
            slots: Cell::new([0, driver_stack.top()]),
            driver_stack,
            host_stack: HostStack::new(number)?,
            saved: Cell::new(0),
            caller: Cell::new(0),
            entry: Cell::new(0),
            dpc: Cell::new(0),
            irql: Cell::new(nt::Irql::PASSIVE),
            body: RefCell::new(Some(body)),
        });
        // The address is taken for the entry below; it stays while the fiber exists.
        let words = context::prepare(run, Rc::as_ptr(&fiber).expose_provenance());
        let start = fiber.host_stack.top().wrapping_sub(size_of_val(&words)).cast::<u64>();
        for (index, word) in words.into_iter().enumerate() {
            // SAFETY: the words lie at the top of the fresh host stack, which is readable, writable and unused.
            unsafe { start.wrapping_add(index).write(word) };
        }
        fiber.saved.set(start.expose_provenance() as u64);
        Ok(fiber)
    }

    /// Returns its IRQL, while it does not run.
    pub(crate) fn irql(&self) -> nt::Irql {
        self.irql.get()
    }

    /// Returns whether it has something to do when it runs: it does not spin, or the lock has changed.
    pub(crate) fn can_go_on(&self) -> bool {
        !self.spin.get().is_some_and(Spin::in_vain)
    }

    /// Runs the fiber on the processor until it parks, yields or ends. Called on the scheduler's own stack, whose context is
    /// kept in `back`.
    pub(crate) fn resume(&self, back: &Cell<u64>) {
        processor::set_current_thread(self.thread.as_ptr());
        processor::set_slots(self.slots.get());
        processor::set_irql(self.irql.get());
        NOW.caller.store(self.caller.get(), Ordering::Relaxed);
        NOW.entry.store(self.entry.get(), Ordering::Relaxed);
        NOW.dpc.store(self.dpc.get(), Ordering::Relaxed);
        NOW.lowered.store(self.lowered.get(), Ordering::Relaxed);
        NOW.thread.store(self.id, Ordering::Relaxed);
        NOW.stack.store(self.driver_stack.top(), Ordering::Relaxed);
        NOW.host_guard.store(self.host_stack.guard, Ordering::Relaxed);
        // SAFETY: `saved` was made by `new` or by `suspend`, on the fiber's own stack, and is continued once: only a fiber
        // that is not running is resumed.
        unsafe { context::switch(back.as_ptr(), self.saved.get()) };
        NOW.stack.store(0, Ordering::Relaxed);
        NOW.host_guard.store(0, Ordering::Relaxed);
        NOW.caller.store(0, Ordering::Relaxed);
        NOW.entry.store(0, Ordering::Relaxed);
    }

    /// Returns where the driver called the export that the fiber waits in; 0 for nowhere.
    pub(crate) fn caller(&self) -> u64 {
        self.caller.get()
    }

    /// Returns the call stack of the driver whose export call the fiber waits in.
    pub(crate) fn stack(&self) -> Stack {
        // SAFETY: the fiber waits in the call, on its own host stack, which it keeps.
        unsafe { stack::of_entry(self.entry.get(), self.driver_stack.top(), From::Kernel) }
    }

    /// Leaves the processor to the scheduler, whose context is `back`. Returns when the fiber is resumed.
    pub(crate) fn suspend(&self, back: &Cell<u64>) {
        self.slots.set(processor::slots());
        self.irql.set(processor::irql());
        self.caller.set(NOW.caller.load(Ordering::Relaxed));
        self.entry.set(NOW.entry.load(Ordering::Relaxed));
        self.dpc.set(NOW.dpc.load(Ordering::Relaxed));
        self.lowered.set(NOW.lowered.load(Ordering::Relaxed));
        // SAFETY: `back` was saved by the `resume` that this fiber runs in, and its stack waits there.
        unsafe { context::switch(self.saved.as_ptr(), back.get()) };
    }
}

extern "C" fn run(fiber: usize) -> ! {
    let fiber = std::ptr::with_exposed_provenance::<Fiber>(fiber);
    // SAFETY: the scheduler keeps the fiber until the fiber has ended, and hands out shared references only.
    let body = unsafe { &*fiber }.body.take();
    if let Some(body) = body {
        body();
    }
    // A thread ends by `exit_thread`; falling off its body is a mistake of the host.
    panic!("a fiber ran off its end")
}
