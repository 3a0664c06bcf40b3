//! Several things at once: each in a system thread of its own, interleaved by the scheduler.
//!
//! On Windows whoever rings, unloads or sends an event does so from some thread, and nothing orders two of them. Deliberately
//! different: the threads are all made before the first one runs, so that no order is more likely than another because of
//! how long a thread takes to start.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use executive::Platform;
use record::What;

use super::world::World;
use super::{driver, kernel};
use crate::wire::{Command, Reply};

/// Does all of `members` at once, and returns when all are done. Runs in the system thread. A member that cannot even begin,
/// because what it names is not there, keeps all from beginning: the answers are then `Refused` for it and `Done` for the
/// others.
pub(super) fn act(world: &'static World, members: Vec<Command>) -> Reply {
    let missing = |member: &Command| match member {
        Command::Notify { object, .. } => world.has_object(object).err(),
        Command::Event { name } => world.has_object_of(name).err(),
        Command::Unload { driver } => driver::has(world, driver).err(),
        _ => None,
    };
    let ready: Vec<Option<String>> = members.iter().map(missing).collect();
    if ready.iter().any(Option::is_some) {
        let refused = |why: Option<String>| why.map_or(Reply::Done, Reply::Refused);
        return Reply::Parallel(ready.into_iter().map(refused).collect());
    }
    let count = members.len();
    let answers = Rc::new(RefCell::new(vec![Reply::Done; count]));
    let left = Rc::new(Cell::new(count));
    let waiting = world.current_thread();
    for (index, member) in members.into_iter().enumerate() {
        let (theirs, others) = (Rc::clone(&answers), Rc::clone(&left));
        let body = move || {
            theirs.borrow_mut()[index] = one(world, member);
            others.set(others.get() - 1);
            if others.get() == 0 {
                world.scheduler.unpark(waiting);
            }
        };
        if let Err(status) = world.kernel().start_thread(body) {
            let why =
                format!("no thread could be made for it: {status}\nhint: let fewer things happen at once");
            answers.borrow_mut()[index] = Reply::Refused(why);
            left.set(left.get() - 1);
        }
    }
    while left.get() > 0 {
        world.scheduler.park(None);
    }
    Reply::Parallel(answers.take())
}

/// Does one of several things. Runs in a thread of its own.
fn one(world: &'static World, member: Command) -> Reply {
    let note = |text: String| world.record(What::Note { text, details: Vec::new() });
    let title = title(&member);
    let rings = matches!(member, Command::Notify { .. } | Command::Event { .. });
    note(format!("begin {title}"));
    let answer = match kernel::act(world, member) {
        // The object was there when all began: what another member did to it is no mistake of the scenario's.
        Reply::Refused(_) if rings => {
            note(format!("nothing to {title}: the object is gone"));
            Reply::Done
        }
        answer => answer,
    };
    note(format!("end {title}"));
    answer
}

/// Says what a member does, in the words of a step.
fn title(member: &Command) -> String {
    match member {
        Command::Load { name, .. } => format!("load {name}"),
        Command::Unload { driver } => format!("unload {driver}"),
        Command::Notify { object, argument1, argument2, .. } => {
            format!("ring {object} ({argument1:#x}, {argument2:#x})")
        }
        Command::Event { name } => format!("event {name}"),
        Command::Advance { ticks } => format!("wait {:?}", Duration::from_nanos(ticks.saturating_mul(100))),
        _ => String::new(),
    }
}
