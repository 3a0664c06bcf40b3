//! Running: the machine's own threads, and steps of the scenario as jobs of one of them.
//!
//! Everything that happens in the kernel happens on an NT thread. The `System` process has two of the machine's own: one
//! performs the steps the parent asks for, one lets timers expire when nobody else can run.

use std::cell::Cell;
use std::ptr::NonNull;

use nt::{EPROCESS, ETHREAD, HANDLE, KTHREAD};
use record::WaitKind;

use super::memory;
use super::scheduler::Pause;
use super::world::World;
use crate::plan;

/// Turns other threads get after a step is over, so that what it set going settles.
const SETTLE: u32 = 10_000;

/// One step of the scenario.
pub(super) type Job = Box<dyn FnOnce(&'static World)>;

/// Thread objects of the machine itself.
#[derive(Clone, Copy, Debug)]
enum Own {
    /// Runs the steps of the scenario: `Phase1Initialization` and what follows.
    System = 1,
    /// Lets timers expire, as the idle thread's interrupts do.
    Clock = 2,
}

/// Number of the first idle thread among the machine's own threads.
const IDLE: u64 = 3;

/// Returns the thread object of the idle thread of `processor`, which runs there and nowhere else.
fn idle(processor: u8) -> NonNull<KTHREAD> {
    own(IDLE + u64::from(processor))
}

/// Returns the thread object with this number among the machine's own.
fn own(number: u64) -> NonNull<KTHREAD> {
    let address = plan::THREADS.base + number * plan::THREAD_STRIDE;
    let pointer = std::ptr::with_exposed_provenance_mut(address as usize);
    NonNull::new(pointer).unwrap_or(NonNull::dangling())
}

impl Own {
    fn thread(self) -> NonNull<KTHREAD> {
        own(self as u64)
    }
}

/// Identifier of the `System` process.
const SYSTEM_PROCESS: usize = 4;

impl World {
    /// Makes the `System` process and the machine's own threads.
    pub(super) fn make_threads(&'static self) -> Option<()> {
        // With one processor nobody ever asks its idle thread for something.
        let idle_threads = if self.scheduler.processors() > 1 { self.scheduler.processors() } else { 0 };
        let bytes = plan::THREAD_STRIDE * (IDLE + u64::from(idle_threads));
        let process = memory::commit(plan::THREADS.base, bytes)?.cast::<EPROCESS>().as_ptr();
        let id = |number: usize| -> HANDLE { std::ptr::without_provenance_mut(number) };
        // SAFETY: freshly committed, zeroed, and nobody else's yet.
        let record = unsafe { &mut *process };
        record.Header.Type = nt::dispatcher::PROCESS;
        record.UniqueProcessId = id(SYSTEM_PROCESS);
        record.ImageFileName[..6].copy_from_slice(b"System");
        record.CreateTime = executive::ke::BOOT_SYSTEM_TIME;
        let initialize = |thread: NonNull<KTHREAD>, number: usize| {
            // SAFETY: zeroed memory for a thread object that is never freed.
            unsafe { executive::ke::initialize_thread(thread.as_ptr(), process) };
            let ethread = KTHREAD::ethread(thread.as_ptr());
            // SAFETY: an `ETHREAD` fits the stride (asserted below) and nobody uses it yet.
            let record = unsafe { &mut *ethread };
            record.Cid.UniqueProcess = id(SYSTEM_PROCESS);
            record.Cid.UniqueThread = id(number);
            record.CreateTime = executive::ke::BOOT_SYSTEM_TIME;
        };
        for (own, number) in [(Own::System, 8), (Own::Clock, 0)] {
            let thread = own.thread();
            initialize(thread, number);
            let body: Box<dyn FnOnce()> = match own {
                Own::System => Box::new(move || self.work()),
                Own::Clock => Box::new(move || self.keep_time()),
            };
            self.start(thread, body)?;
        }
        self.scheduler.set_clock(Own::Clock.thread());
        for processor in 0..idle_threads {
            // Zero on Windows, for all of them; here a schedule names threads by their identifiers, and those of others are
            // multiples of four.
            initialize(idle(processor), usize::from(processor) * 4 + 1);
            self.start(idle(processor), Box::new(move || self.idle()))?;
            self.scheduler.bind(idle(processor), 1 << processor);
        }
        Some(())
    }

    /// Body of an idle thread: runs the DPCs that others queued to its processor, whenever it is woken.
    fn idle(&'static self) {
        loop {
            self.scheduler.park(None);
            self.take_interrupts();
        }
    }

    /// Asks `processor` to look for DPCs, also where it is idle.
    pub(super) fn wake_idle(&self, processor: u8) {
        if processor < self.scheduler.processors() {
            self.scheduler.unpark(idle(processor));
        }
    }

    /// Gives `thread` stacks and a place among those that can run.
    pub(super) fn start(&self, thread: NonNull<KTHREAD>, body: Box<dyn FnOnce()>) -> Option<()> {
        let ethread = KTHREAD::ethread(thread.as_ptr());
        // SAFETY: every thread object is an initialized `ETHREAD` in guest memory; a plain copy of one field.
        let id = unsafe { (*ethread).Cid.UniqueThread }.addr() as u32;
        self.scheduler.start(thread, id, body)?;
        self.waits.begin(thread, id);
        let (top, limit) = self.scheduler.stack_of(thread)?;
        let pointer = |address: u64| std::ptr::with_exposed_provenance_mut(address as usize);
        // SAFETY: as above; the thread does not run yet.
        let record = unsafe { &mut *thread.as_ptr() };
        (record.InitialStack, record.StackBase) = (pointer(top), pointer(top));
        record.StackLimit = pointer(limit);
        Some(())
    }

    /// Body of the system thread: one job after the other.
    fn work(&'static self) {
        loop {
            let job = self.jobs.borrow_mut().pop_front();
            match job {
                Some(job) => {
                    job(self);
                    self.jobs_done.set(self.jobs_done.get() + 1);
                    self.scheduler.ring(0);
                }
                None => {
                    self.note_wait(Some((WaitKind::Step, 0)));
                    self.scheduler.park(None);
                    self.note_wait(None);
                }
            }
        }
    }

    /// Body of the clock thread: expires timers whenever it is woken.
    fn keep_time(&'static self) {
        loop {
            self.scheduler.park(None);
            if let Some(kernel) = self.kernel.get() {
                kernel.executive().expire_timers();
                self.scheduler.next_timer.set(kernel.executive().next_deadline());
            }
        }
    }

    /// Runs `job` in the system thread, and everybody else as long as it takes; then lets what it set going settle.
    /// Called on the process's own stack.
    pub(crate) fn perform<R: 'static>(&'static self, job: impl FnOnce(&'static Self) -> R + 'static) -> R {
        let result = std::rc::Rc::new(Cell::new(None));
        let slot = std::rc::Rc::clone(&result);
        self.jobs.borrow_mut().push_back(Box::new(move |world| slot.set(Some(job(world)))));
        let wanted = self.jobs_done.get() + 1;
        self.scheduler.unpark(Own::System.thread());
        self.run_until(&|| self.jobs_done.get() >= wanted);
        self.scheduler.settle(SETTLE);
        match result.take() {
            Some(result) => result,
            None => panic!("the step ended without a result"),
        }
    }

    /// Ends the world, in which nothing can ever happen again.
    fn say_deadlock(&self) -> ! {
        let (at, stack) = self.scheduler.first_caller();
        self.end_in_deadlock(at, &stack, &self.scheduler.describe().join("\n"))
    }

    fn run_until(&'static self, done: &dyn Fn() -> bool) {
        loop {
            if self.scheduler.run(done).is_none() {
                return;
            }
            if self.scheduler.is_stuck() {
                self.say_deadlock();
            }
            // Nobody can run. Timers first: their routines may wake somebody.
            self.scheduler.unpark(Own::Clock.thread());
            let Some(pause) = self.scheduler.run(done) else { return };
            let thread = match pause {
                Pause::Until(time) => Some(time),
                Pause::Never => None,
            };
            let Some(next) = thread.into_iter().chain(self.scheduler.next_timer.get()).min() else {
                self.say_deadlock();
            };
            self.scheduler.pass(next - self.scheduler.now());
        }
    }
}

const _: () = assert!(size_of::<ETHREAD>() as u64 <= plan::THREAD_STRIDE);
const _: () = assert!(size_of::<EPROCESS>() as u64 <= plan::THREAD_STRIDE);
