//! A run told as a story: what was loaded, what it did, what rang, what was left behind.
//!
//! One line per event that a person wants to read, indented by what it happened inside of. Driver output is set off by
//! `|`, so that nothing a driver prints can pass for a line of Ringbell's own.

mod after;
mod verdict;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use nt::{Irql, NTSTATUS};
use record::{
    Access, CreateOutcome, EntryPoint, Event, ExceptionOutcome, LeftKind, Mode, RefusedBecause, Report, What,
};

pub use self::verdict::verdict;
use crate::text::printable;

/// Tells the whole run: events, ending, findings, verdict.
pub fn story(report: &Report) -> String {
    let mut out = String::new();
    let mut teller = Teller {
        report,
        names: BTreeMap::new(),
        depth: 0,
        thread: SYSTEM_THREAD,
        depths: BTreeMap::new(),
        out: &mut out,
    };
    for event in &report.events {
        teller.tell(event);
    }
    after::tell(report, &mut out);
    if let Some(path) = &report.dump {
        let _ = writeln!(out, "\ndump written to {}", printable(path));
    }
    let _ = writeln!(out, "\nverdict: {}", verdict(report));
    out
}

fn plural(number: usize, singular: &str) -> String {
    format!("{number} {singular}{}", if number == 1 { "" } else { "s" })
}

struct Teller<'a> {
    report: &'a Report,
    /// Names the callback objects were last seen under.
    names: BTreeMap<u64, String>,
    depth: usize,
    /// The thread that is told of.
    thread: u32,
    /// How deep the other threads are in what they do.
    depths: BTreeMap<u32, usize>,
    out: &'a mut String,
}

/// The machine's own thread, which plays the steps. Its lines are not marked.
const SYSTEM_THREAD: u32 = 8;

impl Teller<'_> {
    fn line(&mut self, text: &str) {
        let width = 2 * self.depth;
        let _ = match self.thread {
            0..=SYSTEM_THREAD => writeln!(self.out, "{:width$}{}", "", printable(text)),
            thread => writeln!(self.out, "{:width$}[{thread}] {}", "", printable(text)),
        };
    }

    fn place(&self, address: u64) -> String {
        self.report.modules.locate(address).to_string()
    }

    /// Returns the object's name, or its address where it has none.
    fn object(&self, address: u64) -> String {
        self.names.get(&address).cloned().unwrap_or_else(|| format!("callback object {address:#x}"))
    }

    /// Learns and forgets names.
    fn learn(&mut self, event: &Event) {
        match &event.what {
            What::CreateResult { name: Some(name), object, outcome, .. }
                if *outcome != CreateOutcome::Failed && !name.is_empty() =>
            {
                self.names.insert(*object, name.clone());
            }
            What::CreateResult { object, .. } | What::ObjectDeleted { object, .. } => {
                self.names.remove(object);
            }
            What::Audit { snapshot, .. } => {
                for object in &snapshot.objects {
                    if let Some(name) = &object.name {
                        self.names.insert(object.address, name.clone());
                    }
                }
            }
            _ => {}
        }
    }

    fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1).max(1);
    }

    /// Goes on where `thread` was.
    fn turn_to(&mut self, thread: u32) {
        if thread != self.thread {
            self.depths.insert(self.thread, self.depth);
            self.thread = thread;
            self.depth = self.depths.get(&thread).copied().unwrap_or(1);
        }
    }

    /// Tells one event. Long, because it is the table of all sentences.
    #[expect(clippy::too_many_lines, reason = "one arm per sentence; splitting would scatter the vocabulary")]
    fn tell(&mut self, event: &Event) {
        self.learn(event);
        self.turn_to(event.thread);
        match &event.what {
            What::Booted { profile, build, seed } => {
                let processors = match (self.report.processors, self.report.parallel) {
                    (1, _) => String::new(),
                    (more, false) => format!(", {more} processors"),
                    (more, true) => format!(", {more} processors at the same time"),
                };
                // Processors that run at the same time are in no order, so the seed plays no part.
                let seed = if self.report.parallel { String::new() } else { format!(", seed {seed}") };
                self.line(&format!("boot {profile} (build {build}){seed}{processors}"));
                self.depth = 1;
            }
            What::Step { text } => {
                self.turn_to(SYSTEM_THREAD);
                self.depths.clear();
                self.depth = 0;
                self.out.push('\n');
                self.line(text);
                self.depth = 1;
            }
            What::ImageLoaded { name, base, size, .. } => {
                self.line(&format!("{name} mapped at {base:#x}, {size:#x} bytes"));
            }
            What::ImageUnloaded { name, .. } => self.line(&format!("{name} unmapped")),
            What::EntryCalled { entry, name, routine } => {
                let place = self.place(*routine);
                self.line(&format!("{} {name} at {place}", entry_verb(*entry)));
                self.depth += 1;
            }
            What::EntryReturned { entry, status, irql, .. } => {
                self.leave();
                let status = status.map(|status| format!(" {}", NTSTATUS(status))).unwrap_or_default();
                let level =
                    if *irql == event_floor(*entry) { String::new() } else { format!(" at {}", Irql(*irql)) };
                self.line(&format!("{} returned{status}{level}", entry_name(*entry)));
            }
            What::DebugPrint { text, .. } => {
                for line in text.trim_end_matches(['\n', '\r']).split('\n') {
                    self.line(&format!("| {}", line.trim_end_matches('\r')));
                }
            }
            What::ExportCalled { name, arguments: [a, b, c, d] } => {
                self.line(&format!("{name}({a:#x}, {b:#x}, {c:#x}, {d:#x})"));
                self.depth += 1;
            }
            What::ExportReturned { name, value } => {
                self.leave();
                self.line(&format!("{name} = {value:#x}"));
            }
            What::AbsentExport { module, name, access, .. } => {
                let from = event.caller.map(|caller| self.place(caller)).unwrap_or_default();
                let verb = match access {
                    Access::Call => "called",
                    Access::Read => "read",
                    Access::Write => "written",
                };
                self.line(&format!("absent export {module}!{name} {verb} from {from}"));
            }
            What::PartialExport { name, detail } => self.line(&format!("{name} is partial: {detail}")),
            What::StubExport { name } => self.line(&format!("{name} is a stub: it did nothing")),
            What::IrqlContract { name, lowest, actual, .. } if actual < lowest => {
                self.line(&format!("{name} called at {}, allowed from {}", Irql(*actual), Irql(*lowest)))
            }
            What::IrqlContract { name, highest, actual, .. } => {
                self.line(&format!("{name} called at {}, allowed up to {}", Irql(*actual), Irql(*highest)))
            }
            What::Emulated { what, at } => {
                let place = self.place(*at);
                self.line(&format!("emulated {what} at {place}"));
            }
            What::DeviceCreated { device, name } => {
                let name = name.as_deref().unwrap_or("(unnamed)");
                self.line(&format!("device {name} created at {device:#x}"));
            }
            What::DeviceDeleted { device } => self.line(&format!("device {device:#x} deleted")),
            What::Audit { driver, snapshot } => {
                if let Some(driver) = driver {
                    let result = verdict::audit(self.report, event.sequence);
                    self.line(&format!("departure audit of {driver}: {result}"));
                } else {
                    self.line(&format!("{} alive", plural(snapshot.objects.len(), "callback object")));
                }
            }
            // The ending tells a bugcheck and a deadlock, the result an attempt, the delivery a kernel listener.
            What::Bugcheck(_) | What::Deadlock { .. } => {}
            What::KernelListener { .. } => {}
            What::CreateAttempt { .. } | What::RegisterAttempt { .. } | What::UnregisterAttempt { .. } => {}
            What::PoolLeft { driver, blocks } => {
                self.line(&format!("{} of {driver} left", plural(blocks.len(), "pool block")));
            }
            // The finding tells the rest.
            What::PoolMisused(misuse) => self.line(&format!("{}: {:#x}", misuse.wrong, misuse.address)),
            What::FreedInUse { thing, .. } => {
                self.line(&format!(
                    "pool freed while the {} in it was in use: {:#x}",
                    thing.kind, thing.address
                ));
            }
            What::PagedObject { export, object, .. } => {
                self.line(&format!("{export} got an object in paged pool: {object:#x}"));
            }
            What::PageableSections { name, sections, .. } => {
                let names: Vec<&str> = sections.iter().map(|section| section.name.as_str()).collect();
                self.line(&format!("{name} may be paged out: {}", names.join(", ")));
            }
            What::SectionLocked { address, locks } => {
                let place = self.place(*address);
                self.line(&format!(
                    "the pageable section at {place} has {}",
                    plural(*locks as usize, "lock")
                ));
            }
            What::FallibleCall { fault, failed: true } => {
                let from = event.caller.map(|caller| self.place(caller)).unwrap_or_default();
                self.line(&format!("made to fail: {}, called at {from}", fault.export));
            }
            What::FallibleCall { .. } => {}
            What::LookasideLeft { driver, lists } => {
                self.line(&format!("{} of {driver} left", plural(lists.len(), "lookaside list")));
            }
            What::ExceptionRaised { code, address, information } => {
                let (code, place) = (NTSTATUS(*code), self.place(*address));
                let what = match (code, &information[..]) {
                    (nt::STATUS_ACCESS_VIOLATION, [kind, touched, ..]) => match kind {
                        1 => format!(", wrote to {touched:#x}"),
                        8 => format!(", executed {touched:#x}"),
                        _ => format!(", read from {touched:#x}"),
                    },
                    _ => String::new(),
                };
                self.line(&format!("exception {code} at {place}{what}"));
            }
            What::ExceptionHandled { outcome, .. } => match outcome {
                ExceptionOutcome::Continued { at } => {
                    let place = self.place(*at);
                    self.line(&format!("exception dealt with, goes on at {place}"));
                }
                ExceptionOutcome::Unwound { target, crossed } => {
                    let place = self.place(*target);
                    let crossed: Vec<String> = crossed.iter().map(|export| self.place(*export)).collect();
                    let cut = if crossed.is_empty() {
                        String::new()
                    } else {
                        format!("; cut short on the way: {}", crossed.join(", "))
                    };
                    self.line(&format!("exception handled at {place}{cut}"));
                    // The call of the routine and the notify around it.
                    for _ in 0..2 * outcome.notifies_left(&self.report.modules) {
                        self.leave();
                    }
                }
            },
            What::LeftBehind { driver, things } => {
                let mut kinds: Vec<(String, usize)> = Vec::new();
                for thing in things {
                    let kind = thing.kind.to_string();
                    match kinds.last_mut().filter(|(last, _)| *last == kind) {
                        Some((_, count)) => *count += 1,
                        None => kinds.push((kind, 1)),
                    }
                }
                let kinds: Vec<String> = kinds.iter().map(|(kind, count)| plural(*count, kind)).collect();
                self.line(&format!("{} of {driver} left", kinds.join(", ")));
            }
            What::LocksLeft { routine, locks } => {
                let place = self.place(*routine);
                let spin = locks.iter().filter(|lock| lock.kind == LeftKind::SpinLock).count();
                let raised = locks.iter().filter(|lock| lock.kind == LeftKind::Irql).count();
                let others = locks.len() - spin - raised;
                let mut kept: Vec<String> = Vec::new();
                kept.extend((spin > 0).then(|| plural(spin, "spin lock")));
                kept.extend((others > 0).then(|| plural(others, "other lock")));
                kept.extend((raised > 0).then(|| String::from("the IRQL raised")));
                self.line(&format!("{place} returned with {}", kept.join(", ")));
            }
            What::LockMisused { kind, lock, held } => {
                let place = self.place(*lock);
                let who = if *held { "another thread holds" } else { "nobody holds" };
                self.line(&format!("releases the {kind} at {place}, which {who}"));
            }
            What::ApcDisableLeft { routine, .. } => {
                let place = self.place(*routine);
                self.line(&format!("{place} returned with another count of disabled APCs"));
            }
            What::WaitRaised { irql } => self.line(&format!("waits at {}", Irql(*irql))),
            What::CreateResult { name, outcome, object, status } => {
                let name = name.as_deref().unwrap_or("(unnamed)");
                let text = match outcome {
                    CreateOutcome::Created => format!("created {name} at {object:#x}"),
                    CreateOutcome::Unnamed => format!("created an unnamed callback object at {object:#x}"),
                    CreateOutcome::Opened => format!("opened {name} at {object:#x}"),
                    CreateOutcome::Failed => {
                        format!("failed to create or open {name}: {}", NTSTATUS(*status))
                    }
                };
                self.line(&text);
            }
            What::Referenced { object, count } => {
                self.line(&format!("referenced {}, count {count}", self.object(*object)))
            }
            What::Dereferenced { object, count } => {
                self.line(&format!("dereferenced {}, count {count}", self.object(*object)))
            }
            What::Registered { object, routine, context, .. } => {
                let place = self.place(*routine);
                self.line(&format!("registered {place} on {}, context {context:#x}", self.object(*object)));
            }
            What::RegisterRefused { object, routine, because } => {
                let place = self.place(*routine);
                let because = match because {
                    RefusedBecause::SingleCallbackTaken => "it admits one routine and has one",
                    RefusedBecause::NoMemory => "no memory",
                };
                self.line(&format!("refused to register {place} on {}: {because}", self.object(*object)));
            }
            What::UnregisterWaits { busy, .. } => {
                // More calls at once than there can be threads: the count is not one.
                if *busy > 1 << 20 {
                    let text = "unregister waits for a registration that was freed or never was one: its count of calls";
                    self.line(&format!("{text} reads {busy:#x}"));
                } else {
                    self.line(&format!("unregister waits for {} in flight", plural(*busy as usize, "call")));
                }
            }
            What::Unregistered { object, routine, .. } => {
                let place = self.place(*routine);
                self.line(&format!("unregistered {place} from {}", self.object(*object)));
            }
            What::NotifyBegin { object, argument1, argument2, mode } => {
                let held = if *mode == Mode::Held { ", lock held" } else { "" };
                let level = Irql(event.irql);
                self.line(&format!(
                    "ring {} ({argument1:#x}, {argument2:#x}) at {level}{held}",
                    self.object(*object)
                ));
                self.depth += 1;
            }
            What::DeliveryBegin { routine, context, .. } => {
                let place = self.place(*routine);
                self.line(&format!("-> {place}, context {context:#x}"));
                self.depth += 1;
            }
            What::DeliveryEnd { .. } => self.leave(),
            What::NotifyEnd { delivered, .. } => {
                self.leave();
                self.line(&format!("{} called", plural(*delivered as usize, "routine")));
            }
            What::NameRemoved { name, .. } => self.line(&format!("name {name} removed")),
            What::ObjectDeleted { object, name } => {
                let name = name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
                self.line(&format!("callback object {object:#x}{name} deleted"));
            }
            What::Note { text, details } => {
                self.line(text);
                self.depth += 1;
                for detail in details {
                    self.line(detail);
                }
                self.depth -= 1;
            }
        }
    }
}

fn entry_name(entry: EntryPoint) -> &'static str {
    match entry {
        EntryPoint::DriverEntry => "DriverEntry",
        EntryPoint::DriverUnload => "DriverUnload",
        EntryPoint::Thread => "thread",
        EntryPoint::WorkItem => "work item",
        EntryPoint::Dpc => "DPC",
        EntryPoint::Dispatch => "dispatch routine",
    }
}

fn entry_verb(entry: EntryPoint) -> String {
    format!("{} of", entry_name(entry))
}

/// IRQL a routine of this kind is called at, and must return at.
fn event_floor(entry: EntryPoint) -> u8 {
    if entry == EntryPoint::Dpc { Irql::DISPATCH.0 } else { Irql::PASSIVE.0 }
}
