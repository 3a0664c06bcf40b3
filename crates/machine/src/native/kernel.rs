//! The main program of a kernel process.

use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;

use record::{Module, Symbol, What};

use super::channel::Channel;
use super::shared::Shared;
use super::world::World;
use super::{confine, driver, exit, fork, giant, host_thread, memory, parallel, remains, sys, trap, watch};
use crate::wire::{Command, Reply};
use crate::{Config, plan};

/// Runs the machine. Called before `main`, which never runs.
pub(crate) fn main() -> ! {
    let Some((shared, stream)) = connect() else { sys::exit_now(exit::NO_MACHINE) };
    let Ok(config) = postcard::from_bytes::<Config>(&shared.config()) else {
        sys::exit_now(exit::NO_MACHINE)
    };
    let channel = Channel::new(stream, shared, config.event_limit);
    let world = match World::new(channel, config) {
        Ok(world) => world,
        Err((channel, why)) => {
            channel.send(&Reply::Refused(why));
            sys::exit_now(exit::NO_MACHINE);
        }
    };
    if trap::install().is_err() {
        sys::exit_now(exit::NO_MACHINE);
    }
    if let Err(why) = world.boot() {
        world.channel.send(&Reply::Refused(why));
        sys::exit_now(exit::NO_MACHINE);
    }
    world.reseed(world.config().seed, None);
    let trapping = confine::confine();
    if world.config().parallel {
        if let Err(error) = host_thread::start(world) {
            let processors = world.scheduler.processors();
            let why = format!("{processors} processors need as many threads: {error}");
            world.channel.send(&Reply::Refused(why));
            sys::exit_now(exit::NO_MACHINE);
        }
        let text = "processors run at the same time; pageable memory stays accessible at DISPATCH_LEVEL";
        world.record(What::Note { text: text.into(), details: Vec::new() });
    }
    confine::seal();
    world.channel.send(&Reply::Booted {
        nonce: shared.nonce(),
        kernel: kernel_module(world),
        build: world.profile.build,
        trapping,
    });
    loop {
        let command = world.channel.receive();
        let reply = match command {
            Command::Fork { .. } if giant::is_on() => {
                Reply::Refused("a machine whose processors are threads cannot fork".into())
            }
            Command::Fork { config, schedule } => match fork::fork(world, *config, schedule) {
                Some(reply) => reply,
                // This is the fork, and its parent asks first.
                None => continue,
            },
            command => serve(world, command),
        };
        world.channel.send(&reply);
        if matches!(reply, Reply::Finished { .. }) {
            sys::exit_now(exit::FINISHED);
        }
    }
}

/// Takes memory and socket from the standard descriptors and frees those for ordinary use.
fn connect() -> Option<(&'static Shared, UnixStream)> {
    let memory = sys::duplicate(0).ok()?;
    let shared = Box::leak(Box::new(Shared::open(memory.as_fd()).ok()?));
    let socket = sys::duplicate(1).ok()?;
    // What host code prints by mistake goes to the parent's keeping, not into the protocol.
    sys::replace(1, 2).ok()?;
    let stream = UnixStream::from(socket);
    // A terminal sends it to every process; the parent decides what comes of it.
    sys::ignore_signal(libc::SIGINT);
    watch::install(shared, stream.as_raw_fd()).ok()?;
    Some((shared, stream))
}

/// The kernel image as a module: its exports, and the executive's own routines and variables.
fn kernel_module(world: &World) -> Module {
    let decoy = world.decoy.borrow();
    let exports = decoy.symbols().map(|(name, offset)| Symbol { rva: offset as u32, name: name.to_owned() });
    let own = world.kernel().executive().kernel_symbols().into_iter().filter_map(|symbol| {
        let offset = (symbol.address as u64).checked_sub(plan::KERNEL_IMAGE.base)?;
        (offset < decoy.size).then(|| Symbol { rva: offset as u32, name: symbol.name.into() })
    });
    let modules = (world.modules.get().addr() as u64).checked_sub(plan::KERNEL_IMAGE.base);
    let modules = modules.map(|offset| Symbol { rva: offset as u32, name: "PsLoadedModuleList".into() });
    let mut symbols: Vec<_> = exports.chain(own).chain(modules).collect();
    symbols.sort();
    Module { name: "nt".into(), base: plan::KERNEL_IMAGE.base, size: decoy.size, symbols }
}

/// Does what only a thread of the machine can do.
pub(super) fn act(world: &'static World, command: Command) -> Reply {
    let done = match command {
        Command::Load { name, image } => driver::load(world, &name, &image)
            .map(|driver::Loaded { base, size, status }| Reply::Loaded { base, size, status }),
        Command::Unload { driver } => driver::unload(world, &driver).map(Reply::Unloaded),
        Command::Advance { ticks } => {
            world.sleep(ticks);
            Ok(Reply::Done)
        }
        Command::Notify { object, argument1, argument2, irql } => {
            world.ring(&object, [argument1, argument2], irql).map(|()| Reply::Done)
        }
        Command::Event { name } => world.play(&name).map(|()| Reply::Done),
        _ => Err("this is nothing for a thread to do".into()),
    };
    done.unwrap_or_else(Reply::Refused)
}

fn serve(world: &'static World, command: Command) -> Reply {
    match command {
        // A fork is made by the loop above, which is the one place where no thread of the machine is under way.
        Command::GoOn | Command::Fork { .. } => Reply::Done,
        Command::Step { text } => {
            world.record(What::Step { text });
            Reply::Done
        }
        Command::NeverFork => {
            confine::give_up_processes();
            Reply::Done
        }
        Command::Stay => {
            remains::keep();
            Reply::Done
        }
        Command::Reseed { seed, schedule } => {
            world.reseed(seed, schedule);
            Reply::Done
        }
        Command::Load { .. }
        | Command::Unload { .. }
        | Command::Advance { .. }
        | Command::Notify { .. }
        | Command::Event { .. } => world.perform(move |world| act(world, command)),
        Command::Parallel { members } => world.perform(move |world| parallel::act(world, members)),
        Command::Regions => {
            world.open_paged();
            Reply::Regions { now: world.scheduler.now().cast_unsigned() }
        }
        Command::Read { address, bytes } => memory::copy(address, bytes as usize)
            .map_or_else(|| Reply::Refused("this memory cannot be read".into()), Reply::Bytes),
        Command::Snapshot => Reply::Snapshot(world.perform(|world| world.snapshot())),
        Command::Finish => {
            let last = world.perform(|world| {
                world.kernel().executive().check_pool(record::PoolNoticed::End);
                world.snapshot()
            });
            let stubs_called =
                world.stubs.borrow().iter().map(|(name, count)| (name.clone(), *count)).collect();
            Reply::Finished { last: Some(last), stubs_called }
        }
        #[cfg(test)]
        Command::Exercise(exercise) => super::exercise::run(exercise, world),
    }
}
