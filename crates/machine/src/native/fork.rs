//! A kernel process forks: from then on there are two machines that differ in nothing but their parents' ends and what follows
//! from their seeds.
//!
//! It happens in the process's main loop, on its own stack, where no thread of the machine is under way: all of
//! them are data. Memory, handlers, the alternate signal stack, GS and what was given up by `prctl` are inherited. Not inherited,
//! and made again here: the interval timer, Syscall User Dispatch, and whatever leads to the parent. The new process is a
//! child of the parent, not of the process that forked, and cannot fork itself.

use std::io;
use std::os::fd::OwnedFd;

use record::Schedule;

use super::world::World;
use super::{confine, exit, offspring, sys, watch};
use crate::Config;
use crate::wire::Reply;

/// Forks. Returns the answer of the process that was asked, and `None` in the new one.
pub(super) fn fork(world: &'static World, config: Config, schedule: Option<Schedule>) -> Option<Reply> {
    let refused = |error: &io::Error| Some(Reply::Refused(format!("cannot fork: {error}")));
    let mine = match world.channel.receive_descriptors() {
        Ok(mine) => mine,
        Err(error) => return refused(&error),
    };
    // SAFETY: a kernel process has one thread.
    match unsafe { offspring::fork_beside() } {
        Ok(Some(id)) => Some(Reply::Forked { id }),
        Ok(None) => {
            if become_another(world, mine, config, schedule).is_err() {
                sys::exit_now(exit::NO_MACHINE);
            }
            None
        }
        Err(error) => refused(&error),
    }
}

fn become_another(
    world: &'static World,
    mine: [OwnedFd; 3],
    config: Config,
    schedule: Option<Schedule>,
) -> io::Result<()> {
    world.channel.replace(mine)?;
    watch::tick()?;
    confine::confine();
    confine::give_up_processes();
    world.reseed(config.seed, schedule);
    world.set_config(config);
    Ok(())
}
