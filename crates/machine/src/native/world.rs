//! Everything a kernel process is: the platform beneath the executive, and the host beneath the exports.
//!
//! One host thread at a time is here: there is only one, or it has the [giant lock](super::giant). Fibers interleave where [`Scheduler`]
//! says and nowhere else, so plain cells do for state, as long as no borrow is held across a call into driver code or into the
//! scheduler; each method here borrows for the length of one statement or of code that does neither.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use nt::Profile;
use ntoskrnl::{DATA, EXPORTS, Kernel};
use record::{Event, Schedule, What};

use super::absent::Absent;
use super::channel::Channel;
use super::decoy::Decoy;
use super::faults::Faults;
use super::kernel_image::{self, Contents};
use super::pages::Pages;
use super::paging::Paging;
use super::policy::Order;
use super::pool::Arena;
use super::processor::{self, NOW};
use super::random::Random;
use super::scheduler::Scheduler;
use super::stack::{self, From};
use super::sys::Access;
use super::{memory, module_list, watch};
use crate::{Config, plan};

/// Scheduling points between two looks at the timers, in turn.
const TIMER_POINTS: u64 = 64;

/// Scheduling points after which a thread gives way to others that can run.
const QUANTUM: u64 = 4096;

/// Keeps the machine's numbers apart from others of the same seed.
const RANDOM: u64 = 0x5DEE_CE66_D1CE_4E5B;

/// Live blocks of one kind of pool that have pages of their own.
const MOST_PAGES: usize = 8192;

/// The same for paged pool, where each is made accessible by itself when the IRQL falls.
const MOST_PAGED_PAGES: usize = 128;

/// The kernel process.
pub(crate) struct World {
    pub(super) channel: Channel,
    config: Cell<&'static Config>,
    pub(super) profile: &'static Profile,
    pub(super) scheduler: Scheduler,
    pub(super) pools: RefCell<[Arena; 3]>,
    /// Pages of blocks that drivers asked for, in the same order.
    pub(super) pages: RefCell<[Pages; 3]>,
    pub(super) paging: Paging,
    pub(super) decoy: RefCell<Decoy>,
    pub(super) absent: Absent,
    pub(super) drivers: RefCell<super::driver::Drivers>,
    pub(super) stubs: RefCell<std::collections::BTreeMap<String, u64>>,
    /// Head of `PsLoadedModuleList`, null before boot.
    pub(super) modules: Cell<*mut nt::LIST_ENTRY>,
    pub(super) kernel: OnceCell<&'static Kernel>,
    random: Random,
    pub(super) faults: Faults,
    points: Cell<u64>,
    emulated: RefCell<BTreeSet<u64>>,
    pub(super) jobs: RefCell<VecDeque<super::run::Job>>,
    pub(super) jobs_done: Cell<u64>,
    pub(super) waits: super::waits::Waits,
    pub(super) stacks: super::stacks::Stacks,
    pub(super) broadcast: super::broadcast::Broadcast,
}

// SAFETY: a kernel process has one host thread, or the one that touches the world has the giant lock, which orders them.
unsafe impl Sync for World {}
// SAFETY: as above.
unsafe impl Send for World {}

static WORLD: OnceLock<&'static World> = OnceLock::new();

/// Returns the world. Called where driver code runs, so there is one.
pub(crate) fn world() -> &'static World {
    match WORLD.get() {
        Some(world) => world,
        None => panic!("there is no world yet"),
    }
}

/// Returns the name of the absent import that `address` stands for. For trap handlers.
pub(crate) fn absent_at(address: u64) -> Option<(String, String)> {
    WORLD.get()?.absent.at(address)
}

/// Lets others run, in driver code behind an instruction that was emulated.
pub(crate) fn trapped() {
    if let Some(world) = WORLD.get() {
        world.point();
        world.before_driver();
    }
}

/// Shuts or opens pageable memory as the IRQL of driver code that runs next demands.
pub(crate) fn before_driver() {
    if let Some(world) = WORLD.get() {
        world.before_driver();
    }
}

/// Opens pageable memory because host code touched `address`. Returns whether that was why it faulted. For trap handlers.
pub(crate) fn open_paged(address: u64) -> bool {
    WORLD.get().is_some_and(|world| world.is_shut(address) && world.open_paged())
}

/// Returns the name of the section at `address` that driver code cannot touch now. For trap handlers.
pub(crate) fn shut_section(address: u64) -> Option<String> {
    let world = WORLD.get()?;
    world.is_shut(address).then(|| world.pageable_section(address))?
}

/// Notes that the instruction at `rip` was emulated; the first time at each address is an event.
pub(crate) fn emulated(rip: u64, what: &str) {
    let Some(world) = WORLD.get() else { return };
    if world.emulated.borrow_mut().insert(rip) {
        world.record(What::Emulated { what: what.into(), at: rip });
    }
}

/// Says what lies at an address in pool. For trap handlers.
pub(crate) fn pool_place(address: u64) -> Option<executive::mm::PoolPlace> {
    let pools = [plan::NONPAGED_POOL, plan::EXECUTABLE_POOL, plan::PAGED_POOL];
    if !pools.iter().any(|pool| pool.contains(address)) {
        return None;
    }
    WORLD.get()?.kernel.get()?.executive().pool_place(address as usize)
}

/// Opens what is shut of guest memory, and shows it to the parent until that has seen enough. Called when the machine is dead. For trap
/// handlers.
pub(crate) fn show_remains() {
    if let Some(world) = WORLD.get() {
        world.open_paged();
        world.channel.show_remains();
    }
}

/// Records an event from a trap handler that is about to end the world.
pub(crate) fn tell(what: What) {
    if let Some(world) = WORLD.get() {
        world.record(what);
    }
}

/// Lets the time pass that one trapped read of a clock takes, and returns what time it is then. A driver that reads until
/// some time has come gets there.
pub(crate) fn passing() -> i64 {
    let Some(world) = WORLD.get() else { return 0 };
    world.scheduler.tick();
    world.scheduler.now()
}

/// Bytes below the top of a thread's stack at which a name of the kernel's own is said to lie.
const KERNEL_NAME: u64 = 0x40;

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
        if (Self::ground as *const () as u64) < plan::HOST_STACKS {
            let what = "this program is linked to a fixed low address, where the machine's memory has to be";
            return Err(format!(
                "{what}\nhint: build it as a position-independent executable, as Rust does by default"
            ));
        }
        memory::reserve()?;
        let failed = |what: &str| format!("cannot make {what}");
        processor::start(profile, config.processors).ok_or_else(|| failed("the processor"))?;
        let contents = Contents {
            code: EXPORTS.iter().map(|export| export.name).collect(),
            data: DATA.iter().map(|data| (data.name, data.size as u64)).collect(),
            version: (profile.major as u16, profile.minor as u16),
        };
        let decoy = kernel_image::build(&contents).map().ok_or_else(|| failed("the kernel image"))?;
        Ok((profile, decoy))
    }

    fn on(
        channel: Channel,
        config: Config,
        profile: &'static Profile,
        decoy: Decoy,
    ) -> Result<&'static Self, (Channel, String)> {
        let random = Random::new(config.seed ^ RANDOM);
        let world = Box::leak(Box::new(Self {
            channel,
            scheduler: Scheduler::new(config.processors, watch::record_switch),
            config: Cell::new(Box::leak(Box::new(config))),
            profile,
            pools: RefCell::new([
                Arena::new(plan::NONPAGED_POOL.lower_half(), Access::ReadWrite),
                Arena::new(plan::EXECUTABLE_POOL.lower_half(), Access::ReadWriteExecute),
                Arena::new(plan::PAGED_POOL.lower_half(), Access::ReadWrite),
            ]),
            pages: RefCell::new([
                Pages::new(plan::NONPAGED_POOL.upper_half(), Access::ReadWrite, MOST_PAGES),
                Pages::new(plan::EXECUTABLE_POOL.upper_half(), Access::ReadWriteExecute, MOST_PAGES),
                Pages::new(plan::PAGED_POOL.upper_half(), Access::ReadWrite, MOST_PAGED_PAGES),
            ]),
            paging: Paging::default(),
            decoy: RefCell::new(decoy),
            absent: Absent::default(),
            drivers: RefCell::default(),
            stubs: RefCell::default(),
            modules: Cell::new(std::ptr::null_mut()),
            kernel: OnceCell::new(),
            random,
            faults: Faults::default(),
            points: Cell::new(0),
            emulated: RefCell::default(),
            jobs: RefCell::default(),
            jobs_done: Cell::new(0),
            waits: super::waits::Waits::default(),
            stacks: super::stacks::Stacks::default(),
            broadcast: super::broadcast::Broadcast::default(),
        }));
        let world: &'static Self = world;
        let _ = WORLD.set(world);
        if world.make_threads().is_none() {
            // The world has the channel for good by now; the parent sees the text on standard error.
            panic!("cannot make the first threads");
        }
        Ok(world)
    }

    /// Boots the executive in the system thread.
    ///
    /// # Errors
    ///
    /// Says why it did not come up.
    pub(crate) fn boot(&'static self) -> Result<(), String> {
        self.perform(|world| {
            world.record(What::Booted {
                profile: world.profile.name.into(),
                build: world.profile.build,
                seed: world.config().seed,
            });
            let kernel = Kernel::boot(world, world.profile).map_err(|error| error.to_string())?;
            let kernel: &'static Kernel = Box::leak(Box::new(kernel));
            kernel.executive().set_processors(world.scheduler.processors().into());
            if ntoskrnl::install(kernel).is_err() || world.kernel.set(kernel).is_err() {
                return Err("a kernel process boots once".into());
            }
            if world.config().kernel_listeners {
                let done = kernel.executive().boot_kernel();
                done.map_err(|status| format!("the kernel's own objects cannot be created: {status}"))?;
            }
            world.fill_variables();
            world.modules.set(module_list::start(world));
            module_list::add_kernel(world, world.modules.get()).ok_or("no pool for the list of modules")?;
            Ok(())
        })
    }

    /// From here on every choice follows from `seed`, and the order of threads from `schedule` where there is one. Called
    /// after the boot, which is the same for all of them, and again in a machine that was forked.
    pub(crate) fn reseed(&self, seed: u64, schedule: Option<Schedule>) {
        self.random.restart(seed ^ RANDOM);
        self.scheduler.reseed(schedule.map_or(Order::Seed(seed), Order::Schedule));
    }

    /// Returns the settings.
    pub(super) fn config(&self) -> &'static Config {
        self.config.get()
    }

    /// Takes other settings, in a process that was forked off. Those that were settled at boot are the same.
    pub(super) fn set_config(&self, config: Config) {
        self.channel.set_limit(config.event_limit);
        self.config.set(Box::leak(Box::new(config)));
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
    pub(super) fn record(&self, mut what: What) {
        if let What::CreateAttempt { name_at, .. } = &mut what
            && *name_at != 0
            && !plan::is_guest(*name_at, 1)
        {
            // The kernel's own names lie on a host stack, at places that change with every build of this program. On Windows they lie on the
            // stack of the thread, and so they do for those who look.
            *name_at = NOW.stack.load(Ordering::Relaxed).saturating_sub(KERNEL_NAME);
        }
        if let What::StubExport { name } = &what {
            *self.stubs.borrow_mut().entry(name.clone()).or_default() += 1;
        }
        let caller = NOW.caller.load(Ordering::Relaxed);
        self.channel.emit(&Event {
            sequence: self.channel.sequence(),
            time: self.scheduler.now().cast_unsigned(),
            processor: processor::number(),
            thread: NOW.thread.load(Ordering::Relaxed),
            irql: processor::irql().0,
            caller: (caller != 0).then_some(caller),
            stack: if caller != 0 && what.has_stack() {
                stack::current(From::Driver).to_vec()
            } else {
                Vec::new()
            },
            what,
        });
    }

    /// Draws a number that follows from the seed. Not for the boot, which is the same for all seeds.
    pub(super) fn draw(&self) -> u64 {
        self.random.draw()
    }

    /// A point where others may run, and time passes: at the entry of every export, and behind a trapped instruction.
    pub(super) fn point(&self) {
        self.scheduler.tick();
        let points = self.points.get() + 1;
        self.points.set(points);
        let raised = processor::irql() >= nt::Irql::DISPATCH;
        if raised && self.scheduler.processors() == 1 {
            return;
        }
        if !raised && NOW.lowered.swap(false, Ordering::Relaxed) {
            // What the executive would have done, had the driver asked it to lower the level.
            self.kernel().executive().KeLowerIrql(processor::irql());
        }
        if !raised {
            self.clock(points.is_multiple_of(TIMER_POINTS));
        }
        if points.is_multiple_of(QUANTUM) {
            self.scheduler.give_way();
        } else {
            self.scheduler.point();
        }
        self.take_interrupts();
    }

    /// Where driver code goes on behind an export: a point as [`World::pass_by`] is, where the clock may interrupt too.
    pub(super) fn leave(&self) {
        if processor::irql() < nt::Irql::DISPATCH {
            self.clock(false);
        }
        self.pass_by();
    }

    /// Lets timers expire where the clock interrupts: in turn where `in_turn`.
    fn clock(&self, in_turn: bool) {
        let Some(kernel) = self.kernel.get() else { return };
        if self.scheduler.clock(in_turn, kernel.executive().first_due()) {
            kernel.executive().expire_timers();
        }
    }

    /// A point where others may run, without time passing.
    pub(super) fn pass_by(&self) {
        if self.scheduler.processors() > 1 || processor::irql() < nt::Irql::DISPATCH {
            self.scheduler.point();
            self.take_interrupts();
        }
    }

    /// Takes part in a call on all processors, and runs the DPCs that other processors queued to this one.
    pub(super) fn take_interrupts(&self) {
        self.take_broadcast();
        if self.scheduler.processors() > 1
            && processor::irql() < nt::Irql::DISPATCH
            && let Some(kernel) = self.kernel.get()
        {
            kernel.executive().interrupt();
        }
    }
}
