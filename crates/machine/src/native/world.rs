//! Everything a kernel process is: the platform beneath the executive, and the host beneath the exports.
//!
//! Lives on one host thread. Fibers interleave where [`Scheduler`] says and nowhere else, so plain cells do for state,
//! as long as no borrow is held across a call into driver code or into the scheduler; each method here borrows for the
//! length of one statement or of code that does neither.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use nt::{EPROCESS, ETHREAD, HANDLE, KTHREAD, Profile};
use ntoskrnl::{DATA, EXPORTS, Kernel};
use record::{Event, What};

use super::absent::Absent;
use super::channel::Channel;
use super::decoy::{self, Contents, Decoy};
use super::fault;
use super::memory;
use super::pool::Arena;
use super::processor::{self, NOW};
use super::scheduler::{Pause, Scheduler};
use super::sys::Access;
use crate::{Config, plan};

/// Scheduling points between two looks at the timers.
const TIMER_POINTS: u64 = 64;

/// Scheduling points after which a thread gives way to others that can run.
const QUANTUM: u64 = 4096;

/// Turns other threads get after a step is over, so that what it set going settles.
const SETTLE: u32 = 10_000;

type Job = Box<dyn FnOnce(&'static World)>;

/// The kernel process.
pub(crate) struct World {
    pub(super) channel: Channel,
    pub(super) config: Config,
    pub(super) profile: &'static Profile,
    pub(super) scheduler: Scheduler,
    pub(super) pools: RefCell<[Arena; 3]>,
    pub(super) decoy: RefCell<Decoy>,
    pub(super) absent: Absent,
    pub(super) drivers: RefCell<super::driver::Drivers>,
    pub(super) stubs: RefCell<std::collections::BTreeMap<String, u64>>,
    kernel: OnceCell<&'static Kernel>,
    random: Cell<u64>,
    points: Cell<u64>,
    emulated: RefCell<BTreeSet<u64>>,
    jobs: RefCell<VecDeque<Job>>,
    jobs_done: Cell<u64>,
    next_timer: Cell<Option<i64>>,
}

// SAFETY: a kernel process has one host thread; nothing of the world is ever touched from another.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

static WORLD: OnceLock<&'static World> = OnceLock::new();

/// Returns the name of the absent import that `address` stands for. For trap handlers.
pub(crate) fn absent_at(address: u64) -> Option<(String, String)> {
    WORLD.get()?.absent.at(address)
}

/// Notes that the instruction at `rip` was emulated; the first time at each address is an event.
pub(crate) fn emulated(rip: u64, what: &str) {
    let Some(world) = WORLD.get() else { return };
    if world.emulated.borrow_mut().insert(rip) {
        world.record(What::Emulated { what: what.into(), at: rip });
    }
}

/// Thread objects of the machine itself.
#[derive(Clone, Copy, Debug)]
enum Own {
    /// Runs the steps of the scenario: `Phase1Initialization` and what follows.
    System = 1,
    /// Lets timers expire, as the idle thread's interrupts do.
    Clock = 2,
}

impl Own {
    fn thread(self) -> NonNull<KTHREAD> {
        let address = plan::THREADS.base + self as u64 * plan::THREAD_STRIDE;
        let pointer = std::ptr::with_exposed_provenance_mut(address as usize);
        NonNull::new(pointer).unwrap_or(NonNull::dangling())
    }
}

/// Identifier of the `System` process.
const SYSTEM_PROCESS: usize = 4;

impl World {
    /// Builds the world around a connected channel.
    ///
    /// # Errors
    ///
    /// Gives the channel back, and says in a sentence what could not be had.
    pub(crate) fn new(channel: Channel, config: Config) -> Result<&'static Self, (Channel, String)> {
        match Self::ground(&config) {
            Ok((profile, decoy)) => Self::on(channel, config, profile, decoy),
            Err(why) => Err((channel, why)),
        }
    }

    /// Makes what the world stands on: memory, processor, kernel image.
    fn ground(config: &Config) -> Result<(&'static Profile, Decoy), String> {
        let Some(profile) = Profile::by_name(&config.profile) else {
            return Err(format!("no version profile `{}`", config.profile));
        };
        memory::reserve()?;
        let failed = |what: &str| format!("cannot make {what}");
        processor::start(profile).ok_or_else(|| failed("the processor"))?;
        let contents = Contents {
            code: EXPORTS.iter().map(|export| export.name).collect(),
            data: DATA.iter().map(|data| (data.name, data.size as u64)).collect(),
            version: (profile.major as u16, profile.minor as u16),
        };
        let decoy = decoy::build(&contents).map().ok_or_else(|| failed("the kernel image"))?;
        Ok((profile, decoy))
    }

    fn on(
        channel: Channel,
        config: Config,
        profile: &'static Profile,
        decoy: Decoy,
    ) -> Result<&'static Self, (Channel, String)> {
        let random = Cell::new(config.seed ^ 0x5DEE_CE66_D1CE_4E5B);
        let world = Box::leak(Box::new(Self {
            channel,
            config,
            profile,
            scheduler: Scheduler::default(),
            pools: RefCell::new([
                Arena::new(plan::NONPAGED_POOL, Access::ReadWrite),
                Arena::new(plan::EXECUTABLE_POOL, Access::ReadWriteExecute),
                Arena::new(plan::PAGED_POOL, Access::ReadWrite),
            ]),
            decoy: RefCell::new(decoy),
            absent: Absent::default(),
            drivers: RefCell::default(),
            stubs: RefCell::default(),
            kernel: OnceCell::new(),
            random,
            points: Cell::new(0),
            emulated: RefCell::default(),
            jobs: RefCell::default(),
            jobs_done: Cell::new(0),
            next_timer: Cell::new(None),
        }));
        let world: &'static Self = world;
        let _ = WORLD.set(world);
        if world.make_threads().is_none() {
            // The world has the channel for good by now; the parent sees the text on standard error.
            panic!("cannot make the first threads");
        }
        Ok(world)
    }

    fn make_threads(&'static self) -> Option<()> {
        let bytes = plan::THREAD_STRIDE * 3;
        let process = memory::commit(plan::THREADS.base, bytes)?.cast::<EPROCESS>().as_ptr();
        let id = |number: usize| -> HANDLE { std::ptr::without_provenance_mut(number) };
        // SAFETY: freshly committed, zeroed, and nobody else's yet.
        let record = unsafe { &mut *process };
        record.Header.Type = nt::dispatcher::PROCESS;
        record.UniqueProcessId = id(SYSTEM_PROCESS);
        record.ImageFileName[..6].copy_from_slice(b"System");
        record.CreateTime = executive::ke::BOOT_SYSTEM_TIME;
        for (own, number) in [(Own::System, 8), (Own::Clock, 0)] {
            let thread = own.thread();
            // SAFETY: zeroed memory for a thread object that is never freed.
            unsafe { executive::ke::initialize_thread(thread.as_ptr(), process) };
            let ethread = KTHREAD::ethread(thread.as_ptr());
            // SAFETY: an `ETHREAD` fits the stride (asserted below) and nobody uses it yet.
            let record = unsafe { &mut *ethread };
            record.Cid.UniqueProcess = id(SYSTEM_PROCESS);
            record.Cid.UniqueThread = id(number);
            record.CreateTime = executive::ke::BOOT_SYSTEM_TIME;
            let body: Box<dyn FnOnce()> = match own {
                Own::System => Box::new(move || self.work()),
                Own::Clock => Box::new(move || self.keep_time()),
            };
            self.start(thread, body)?;
        }
        Some(())
    }

    /// Gives `thread` stacks and a place among those that can run.
    pub(super) fn start(&self, thread: NonNull<KTHREAD>, body: Box<dyn FnOnce()>) -> Option<()> {
        let ethread = KTHREAD::ethread(thread.as_ptr());
        // SAFETY: every thread object is an initialized `ETHREAD` in guest memory; a plain copy of one field.
        let id = unsafe { (*ethread).Cid.UniqueThread }.addr() as u32;
        self.scheduler.start(thread, id, body)?;
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
                }
                None => self.scheduler.park(None),
            }
        }
    }

    /// Body of the clock thread: expires timers whenever it is woken.
    fn keep_time(&'static self) {
        loop {
            self.scheduler.park(None);
            if let Some(kernel) = self.kernel.get() {
                kernel.executive().expire_timers();
                self.next_timer.set(kernel.executive().next_deadline());
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
        let turns = Cell::new(0);
        self.scheduler.run(|| turns.replace(turns.get() + 1) >= SETTLE);
        match result.take() {
            Some(result) => result,
            None => panic!("the step ended without a result"),
        }
    }

    fn run_until(&'static self, done: &dyn Fn() -> bool) {
        loop {
            if self.scheduler.run(done).is_none() {
                return;
            }
            // Nobody can run. Timers first: their routines may wake somebody.
            self.scheduler.unpark(Own::Clock.thread());
            let Some(pause) = self.scheduler.run(done) else { return };
            let thread = match pause {
                Pause::Until(time) => Some(time),
                Pause::Never => None,
            };
            let Some(next) = thread.into_iter().chain(self.next_timer.get()).min() else {
                let mut lines = self.scheduler.describe();
                lines.retain(|line| !line.starts_with("thread 0 "));
                fault::deadlock(self.scheduler.first_caller(), &lines.join("\n"));
            };
            self.scheduler.pass(next - self.scheduler.now());
        }
    }

    /// Boots the executive in the system thread.
    ///
    /// # Errors
    ///
    /// Says why it did not come up.
    pub(crate) fn boot(&'static self) -> Result<(), String> {
        self.perform(|world| {
            let kernel = Kernel::boot(world, world.profile).map_err(|error| error.to_string())?;
            let kernel: &'static Kernel = Box::leak(Box::new(kernel));
            if ntoskrnl::install(kernel).is_err() || world.kernel.set(kernel).is_err() {
                return Err("a kernel process boots once".into());
            }
            if world.config.kernel_listeners {
                let done = kernel.executive().boot_kernel();
                done.map_err(|status| format!("the kernel's own objects cannot be created: {status}"))?;
            }
            world.fill_variables();
            world.record(What::Booted {
                profile: world.profile.name.into(),
                build: world.profile.build,
                seed: world.config.seed,
            });
            Ok(())
        })
    }

    /// Returns the kernel.
    pub(super) fn kernel(&self) -> &'static Kernel {
        match self.kernel.get() {
            Some(kernel) => kernel,
            None => panic!("the kernel is not up yet"),
        }
    }

    /// Returns the address of an export of the kernel image.
    pub(super) fn export(&self, name: &str) -> Option<u64> {
        self.decoy.borrow().export(name)
    }

    /// Stamps and sends an event.
    pub(super) fn record(&self, what: What) {
        if let What::StubExport { name } = &what {
            *self.stubs.borrow_mut().entry(name.clone()).or_default() += 1;
        }
        let caller = NOW.caller.load(Ordering::Relaxed);
        self.channel.emit(&Event {
            sequence: self.channel.sequence(),
            time: self.scheduler.now().cast_unsigned(),
            processor: 0,
            thread: NOW.thread.load(Ordering::Relaxed),
            irql: processor::irql().0,
            caller: (caller != 0).then_some(caller),
            what,
        });
    }

    /// Draws a number: splitmix64, which every seed starts well.
    pub(super) fn draw(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.random.set(state);
        let mixed = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A point where others may run: at the entry of every export.
    pub(super) fn point(&self) {
        self.scheduler.point();
        let points = self.points.get() + 1;
        self.points.set(points);
        if processor::irql() >= nt::Irql::DISPATCH {
            return;
        }
        if NOW.lowered.swap(false, Ordering::Relaxed) {
            // What the executive would have done, had the driver asked it to lower the level.
            self.kernel().executive().KeLowerIrql(processor::irql());
        }
        if points.is_multiple_of(TIMER_POINTS)
            && let Some(kernel) = self.kernel.get()
        {
            kernel.executive().expire_timers();
        }
        if points.is_multiple_of(QUANTUM) {
            self.scheduler.give_way();
        }
    }
}

const _: () = assert!(size_of::<ETHREAD>() as u64 <= plan::THREAD_STRIDE);
const _: () = assert!(size_of::<EPROCESS>() as u64 <= plan::THREAD_STRIDE);
