//! Who waits for whom: why a run could not go on.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::{Event, Modules, PoolBlockRecord, What, owner};

/// What a thread can wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
pub enum WaitKind {
    /// `KEVENT`.
    Event,
    /// `KSEMAPHORE`.
    Semaphore,
    /// `KMUTEX`.
    Mutex,
    /// `KTIMER`.
    Timer,
    /// The end of a thread.
    Thread,
    /// The end of a process.
    Process,
    /// Another dispatcher object.
    Object,
    /// `FAST_MUTEX`, or `KGUARDED_MUTEX`, which has the same layout.
    FastMutex,
    /// `ERESOURCE`.
    Resource,
    /// `EX_PUSH_LOCK`.
    PushLock,
    /// `KSPIN_LOCK` or `EX_SPIN_LOCK`.
    SpinLock,
    /// `EX_RUNDOWN_REF`: its last user.
    Rundown,
    /// `IO_REMOVE_LOCK`: its last holder.
    RemoveLock,
    /// The return of a callback routine: `ExUnregisterCallback`. The address is the registration's.
    Routine,
    /// An I/O request that a driver keeps: its `IRP`.
    Request,
    /// The work items of a driver that is to be taken away. The address is the driver object's.
    WorkItems,
    /// Work to do: a worker thread at rest.
    Work,
    /// The next step of the scenario.
    Step,
}

impl fmt::Display for WaitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Event => "the event",
            Self::Semaphore => "the semaphore",
            Self::Mutex => "the mutex",
            Self::Timer => "the timer",
            Self::Thread => "the end of thread",
            Self::Process => "the end of the process",
            Self::Object => "the object",
            Self::FastMutex => "the fast mutex",
            Self::Resource => "the resource",
            Self::PushLock => "the push lock",
            Self::SpinLock => "the spin lock",
            Self::Rundown => "the last user of the rundown reference",
            Self::RemoveLock => "the last holder of the remove lock",
            Self::Routine => "the return of",
            Self::Request => "the completion of the request",
            Self::WorkItems => "the work items of the driver object",
            Self::Work => "work",
            Self::Step => "the next step",
        })
    }
}

/// A thread that somebody waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Holder {
    /// Thread id.
    pub thread: u32,
    /// Driver address from which it took what it holds, where that is known.
    pub since: Option<u64>,
    /// Whether it has ended, so that it will never let go.
    pub ended: bool,
}

/// One thing a thread waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct WaitedFor {
    /// What it is.
    pub kind: WaitKind,
    /// Its address.
    pub address: u64,
    /// Its name: the place of a variable or routine in a driver, the object or pool block it lies in, or a thread's number.
    pub name: Option<String>,
    /// The pool block it lies in, where it lies in one.
    pub block: Option<PoolBlockRecord>,
    /// Who holds it, or has to do something about it, where that is known.
    pub holders: Vec<Holder>,
}

/// One thread that cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Wait {
    /// Thread id.
    pub thread: u32,
    /// Driver address that the waiting call returns to; `None` where the kernel waits by itself.
    pub at: Option<u64>,
    /// Whether it spins, and does not give up its processor.
    pub spins: bool,
    /// Whether it waits for all of them; otherwise one will do.
    pub all: bool,
    /// What it waits for. Empty: it sleeps.
    pub on: Vec<WaitedFor>,
}

impl Wait {
    /// Returns whether the thread only waits to be given something to do.
    pub fn is_rest(&self) -> bool {
        self.on.iter().all(|on| matches!(on.kind, WaitKind::Work | WaitKind::Step))
    }

    /// Returns the threads that have to move before this one can. Who waits for any of several waits for nobody in
    /// particular.
    pub fn threads(&self) -> impl Iterator<Item = u32> {
        let all = self.all || self.on.len() == 1;
        let on = if all { &self.on[..] } else { &[] };
        on.iter().flat_map(|on| on.holders.iter()).filter(|holder| !holder.ended).map(|holder| holder.thread)
    }

    /// Tells it in a sentence.
    pub fn sentence(&self, modules: &Modules) -> String {
        let at = self.at.map(|at| format!(" at {}", modules.locate(at))).unwrap_or_default();
        let verb = if self.spins { "spins for" } else { "waits for" };
        let on: Vec<String> = self.on.iter().map(|on| self.thing(on, modules)).collect();
        let (several, between) = match (self.on.len(), self.all) {
            (0, _) => return format!("thread {}{at} sleeps", self.thread),
            (1, _) => ("", ""),
            (_, true) => ("all of ", "; "),
            (_, false) => ("any of ", "; "),
        };
        format!("thread {}{at} {verb} {several}{}", self.thread, on.join(between))
    }

    fn thing(&self, on: &WaitedFor, modules: &Modules) -> String {
        let mut text = on.kind.to_string();
        match &on.name {
            _ if matches!(on.kind, WaitKind::Work | WaitKind::Step) => {}
            Some(name) => text.push_str(&format!(" {name}")),
            None => text.push_str(&format!(" {:#x}", on.address)),
        }
        let who = |holder: &Holder| {
            let since = holder.since.map(|at| format!(" since {}", modules.locate(at))).unwrap_or_default();
            let (who, itself) = if holder.thread == self.thread {
                (String::from("it"), " itself")
            } else if holder.ended {
                (format!("thread {}, which has ended,", holder.thread), "")
            } else {
                (format!("thread {}", holder.thread), "")
            };
            match on.kind {
                WaitKind::Routine => format!("{who} is running{itself}"),
                _ => format!("{who} has held{itself}{since}"),
            }
        };
        if on.kind != WaitKind::Thread && !on.holders.is_empty() {
            let holders: Vec<String> = on.holders.iter().map(who).collect();
            text.push_str(&format!(", which {}", holders.join(" and ")));
        }
        text
    }
}

/// Completes what the kernel process tells by what its events do: names of things, the registration a thread is unregistering,
/// and who is running its routine.
pub fn complete_waits(waits: &mut [Wait], events: &[Event], modules: &Modules) {
    for wait in waits {
        let thread = wait.thread;
        for on in &mut wait.on {
            if on.kind == WaitKind::Routine {
                complete_routine(on, events, modules);
            } else if on.kind == WaitKind::Thread {
                on.name = on.holders.first().map(|holder| holder.thread.to_string());
            } else if modules.find(on.address).is_some() {
                on.name = Some(modules.locate(on.address).to_string());
            } else {
                let spins = on.kind == WaitKind::SpinLock;
                let object = if spins { object_part(on.address, events, modules) } else { None };
                on.name = object.or_else(|| owner::name(on, events, modules));
            }
            on.holders.sort_by_key(|holder| (holder.thread != thread, holder.thread));
        }
    }
}

/// Names an address as a part of a callback object, or of what was one until it was deleted: whoever still uses that waits for
/// memory which is no lock any more.
fn object_part(address: u64, events: &[Event], modules: &Modules) -> Option<String> {
    /// Bytes of a `CALLBACK_OBJECT` of 64-bit Windows.
    const SIZE: u64 = 0x38;
    let part = |object: u64| (object..object + SIZE).contains(&address);
    let made = events.iter().rev().find_map(|event| match &event.what {
        What::CreateResult { object, name, .. } if part(*object) => Some((*object, name.as_deref())),
        _ => None,
    });
    let (object, name) = made?;
    let last = events.iter().rev().find(|event| match event.what {
        What::CreateResult { object: other, .. } | What::ObjectDeleted { object: other, .. } => {
            other == object
        }
        _ => false,
    });
    let called = match name.filter(|name| !name.is_empty()) {
        Some(name) => format!("the callback object `{name}`"),
        None => format!("the unnamed callback object {object:#x}"),
    };
    let Some(gone) = last.filter(|last| matches!(last.what, What::ObjectDeleted { .. })) else {
        return Some(format!("{address:#x} of {called}"));
    };
    let by = gone.caller.map(|at| format!(" by {}", modules.locate(at))).unwrap_or_default();
    Some(format!("{address:#x}, which belonged to {called}, deleted{by} in event {}", gone.sequence))
}

fn complete_routine(on: &mut WaitedFor, events: &[Event], modules: &Modules) {
    // Inside of one thread calls are nested: one that has not ended is still running. Each notify and each call of a routine, the
    // latter with its registration.
    let mut open: Vec<(u32, Option<u64>)> = Vec::new();
    let mut left = None;
    let close = |open: &mut Vec<(u32, Option<u64>)>, call: (u32, Option<u64>)| {
        let begun = open.iter().rposition(|other| *other == call);
        begun.map(|begun| open.remove(begun));
    };
    for event in events {
        let thread = event.thread;
        match &event.what {
            What::NotifyBegin { .. } => open.push((thread, None)),
            What::NotifyEnd { .. } => close(&mut open, (thread, None)),
            What::DeliveryBegin { registration, .. } => open.push((thread, Some(*registration))),
            What::DeliveryEnd { registration, .. } => close(&mut open, (thread, Some(*registration))),
            What::Registered { registration, routine, .. } if *registration == on.address => {
                on.name = Some(modules.locate(*routine).to_string());
                open.retain(|(_, called)| *called != Some(on.address));
                left = None;
            }
            What::ExceptionHandled { outcome, .. } => {
                for _ in 0..outcome.notifies_left(modules) {
                    let Some(from) = open.iter().rposition(|call| *call == (thread, None)) else { break };
                    let inside = open.split_off(from);
                    if inside.contains(&(thread, Some(on.address))) {
                        left = Some(event.sequence);
                    }
                    open.extend(inside.into_iter().filter(|(other, _)| *other != thread));
                }
            }
            _ => {}
        }
    }
    open.retain(|(_, called)| *called == Some(on.address));
    if let (Some(event), Some(name), true) = (left, &mut on.name, open.is_empty()) {
        name.push_str(&format!(", which an exception left for good (event {event})"));
    }
    let mut threads: Vec<u32> = open.into_iter().map(|(thread, _)| thread).collect();
    threads.dedup();
    on.holders = threads.into_iter().map(|thread| Holder { thread, since: None, ended: false }).collect();
}

/// Returns the cycles among those who wait for each other: each once, from its lowest thread on, in the order of who waits for
/// whom.
pub fn cycles(waits: &[Wait]) -> Vec<Vec<u32>> {
    let mut found: Vec<Vec<u32>> = Vec::new();
    for wait in waits {
        follow(waits, &mut [wait.thread].to_vec(), &mut found);
    }
    found.sort();
    found
}

/// Follows every way from the end of `path` over threads above its first; a way back to the first is a cycle.
fn follow(waits: &[Wait], path: &mut Vec<u32>, found: &mut Vec<Vec<u32>>) {
    // Everybody waiting for everybody has more cycles than anyone wants to read.
    if found.len() == MOST_CYCLES {
        return;
    }
    let (Some(first), Some(last)) = (path.first().copied(), path.last().copied()) else { return };
    for wait in waits.iter().filter(|wait| wait.thread == last) {
        for next in wait.threads() {
            if next == first {
                if !found.contains(path) {
                    found.push(path.clone());
                }
            } else if next > first && !path.contains(&next) {
                path.push(next);
                follow(waits, path, found);
                path.pop();
            }
        }
    }
}

/// Cycles that are told at most.
const MOST_CYCLES: usize = 8;

/// Tells a cycle in a sentence.
pub fn cycle_sentence(cycle: &[u32]) -> String {
    match cycle {
        [] => String::new(),
        [one] => format!("thread {one} waits for itself"),
        [one, other] => format!("threads {one} and {other} wait for each other"),
        [first, others @ ..] => {
            let mut text = format!("thread {first} waits for");
            for (index, thread) in others.iter().enumerate() {
                let before = if index == 0 { "" } else { ", which waits for" };
                text.push_str(&format!("{before} thread {thread}"));
            }
            text.push_str(&format!(", which waits for thread {first} again"));
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Module, Symbol};

    fn waits(thread: u32, kind: WaitKind, holders: &[u32]) -> Wait {
        let holders =
            holders.iter().map(|thread| Holder { thread: *thread, since: None, ended: false }).collect();
        let on = WaitedFor { kind, address: 0x5000, name: None, block: None, holders };
        Wait { thread, at: None, spins: false, all: false, on: [on].to_vec() }
    }

    fn modules() -> Modules {
        let symbols = ["DriverUnload", "OnRing"].iter().zip([0x100, 0x200]);
        let symbols = symbols.map(|(name, rva)| Symbol { rva, name: (*name).into() }).collect();
        Modules([Module { name: "a.sys".into(), base: 0x1_0000, size: 0x1000, symbols }].to_vec())
    }

    #[test]
    fn cycles_are_found_once_and_told_from_their_lowest_thread() {
        let mutex = |thread, holders: &[u32]| waits(thread, WaitKind::Mutex, holders);
        let none: [Vec<u32>; 0] = [];
        assert_eq!(cycles(&[]), none);
        assert_eq!(cycles(&[mutex(4, &[8]), mutex(8, &[])]), none);
        assert_eq!(cycles(&[mutex(4, &[4])]), [[4]]);
        assert_eq!(cycles(&[mutex(8, &[4]), mutex(4, &[8])]), [[4, 8]]);
        let three = [mutex(12, &[4]), mutex(8, &[12]), mutex(4, &[8]), mutex(16, &[4])];
        assert_eq!(cycles(&three), [[4, 8, 12]]);
        let two = [mutex(4, &[8]), mutex(8, &[4, 12]), mutex(12, &[8])];
        assert_eq!(cycles(&two), [[4, 8], [8, 12]]);
        let all: Vec<u32> = (0..12).collect();
        let everybody: Vec<Wait> = all.iter().map(|thread| mutex(*thread, &all)).collect();
        assert_eq!(cycles(&everybody).len(), MOST_CYCLES);
    }

    #[test]
    fn who_waits_for_any_of_several_is_in_no_cycle() {
        let mut any = waits(4, WaitKind::Mutex, &[8]);
        any.on.push(waits(4, WaitKind::Event, &[]).on.remove(0));
        let back = waits(8, WaitKind::Mutex, &[4]);
        assert!(cycles(&[any.clone(), back.clone()]).is_empty());
        any.all = true;
        assert_eq!(cycles(&[any, back]), [[4, 8]]);
    }

    #[test]
    fn a_thread_that_has_ended_closes_no_cycle() {
        let mut wait = waits(4, WaitKind::Mutex, &[8]);
        wait.on[0].holders[0].ended = true;
        assert!(cycles(&[wait.clone(), waits(8, WaitKind::Mutex, &[4])]).is_empty());
        let text = wait.sentence(&modules());
        assert_eq!(text, "thread 4 waits for the mutex 0x5000, which thread 8, which has ended, has held");
    }

    #[test]
    fn waits_are_told_in_sentences() {
        let modules = modules();
        let mut wait = waits(8, WaitKind::FastMutex, &[256]);
        wait.at = Some(0x1_0110);
        wait.on[0].address = 0x1_0210;
        wait.on[0].holders[0].since = Some(0x1_0204);
        complete_waits(core::slice::from_mut(&mut wait), &[], &modules);
        let expected = "thread 8 at a.sys+0x110 (DriverUnload+0x10) waits for the fast mutex a.sys+0x210 (OnRing+0x10), which \
                        thread 256 has held since a.sys+0x204 (OnRing+0x4)";
        assert_eq!(wait.sentence(&modules), expected);

        let mut both = waits(8, WaitKind::Event, &[]);
        both.on.push(waits(8, WaitKind::Thread, &[256]).on.remove(0));
        complete_waits(core::slice::from_mut(&mut both), &[], &modules);
        let text = both.sentence(&modules);
        assert_eq!(text, "thread 8 waits for any of the event 0x5000; the end of thread 256");

        let mut own = waits(8, WaitKind::SpinLock, &[8]);
        own.spins = true;
        assert_eq!(
            own.sentence(&modules),
            "thread 8 spins for the spin lock 0x5000, which it has held itself"
        );
        let sleeps = Wait { thread: 8, at: None, spins: false, all: false, on: Vec::new() };
        assert_eq!(sleeps.sentence(&modules), "thread 8 sleeps");
        assert_eq!(waits(12, WaitKind::Work, &[]).sentence(&modules), "thread 12 waits for work");
    }

    #[test]
    fn the_lock_of_an_object_that_is_gone_is_told_with_who_deleted_it() {
        let event = |sequence, what| Event {
            sequence,
            time: 0,
            processor: 0,
            thread: 8,
            irql: 0,
            caller: Some(0x1_0110),
            stack: Vec::new(),
            what,
        };
        let made = |object| What::CreateResult {
            name: None,
            outcome: crate::CreateOutcome::Unnamed,
            object,
            status: 0,
        };
        let gone = What::ObjectDeleted { object: 0x4FF8, name: None };
        let mut events = [event(1, made(0x4FF8)), event(2, gone), event(3, made(0x5100))].to_vec();
        let mut wait = waits(8, WaitKind::SpinLock, &[]);
        wait.spins = true;
        complete_waits(core::slice::from_mut(&mut wait), &events, &modules());
        let text = wait.sentence(&modules());
        let expected = "thread 8 spins for the spin lock 0x5000, which belonged to the unnamed callback object 0x4ff8, deleted by \
                        a.sys+0x110 (DriverUnload+0x10) in event 2";
        assert_eq!(text, expected);
        events.push(event(4, made(0x4FF8)));
        complete_waits(core::slice::from_mut(&mut wait), &events, &modules());
        let text = wait.sentence(&modules());
        assert_eq!(text, "thread 8 spins for the spin lock 0x5000 of the unnamed callback object 0x4ff8");
        let mut other = waits(8, WaitKind::SpinLock, &[]);
        complete_waits(core::slice::from_mut(&mut other), &events[2..3], &modules());
        assert_eq!(other.on[0].name, None);
    }

    #[test]
    fn the_routine_that_an_unregistration_waits_for_is_named_with_who_runs_it() {
        let event = |thread, what| Event {
            sequence: 0,
            time: 0,
            processor: 0,
            thread,
            irql: 0,
            caller: None,
            stack: Vec::new(),
            what,
        };
        let begin = What::DeliveryBegin { object: 1, registration: 0x5000, routine: 0x1_0200, context: 0 };
        let end = What::DeliveryEnd { registration: 0x5000, routine: 0x1_0200, irql: 0 };
        let registered = What::Registered { object: 1, registration: 0x5000, routine: 0x1_0200, context: 0 };
        let events = [event(4, registered), event(12, begin.clone()), event(12, end), event(256, begin)];
        let mut wait = waits(8, WaitKind::Routine, &[]);
        complete_waits(core::slice::from_mut(&mut wait), &events, &modules());
        let text = wait.sentence(&modules());
        assert_eq!(
            text,
            "thread 8 waits for the return of a.sys+0x200 (OnRing), which thread 256 is running"
        );
    }

    #[test]
    fn cycles_are_told_in_sentences() {
        assert_eq!(cycle_sentence(&[4]), "thread 4 waits for itself");
        assert_eq!(cycle_sentence(&[4, 8]), "threads 4 and 8 wait for each other");
        let three = "thread 4 waits for thread 8, which waits for thread 12, which waits for thread 4 again";
        assert_eq!(cycle_sentence(&[4, 8, 12]), three);
    }
}
