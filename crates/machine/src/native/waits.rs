//! Who waits for whom: what threads note about themselves, and the picture that is drawn of it when nobody can run any more.
//!
//! What a thread waits for stands in its wait blocks, and who owns a mutex, a fast mutex or a resource stands in these. The rest is
//! noted here, in host memory: what the event in a wait block is a part of, who holds locks that do not say it, and where
//! they were taken.

use std::collections::BTreeMap;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use nt::KTHREAD;
use record::{Holder, PoolWrong, Wait, WaitKind, WaitedFor, What};

use super::fault;
use super::processor::{self, NOW};
use super::scheduler::Parked;
use super::stack::Stack;
use super::world::World;

/// What one thread noted.
#[derive(Debug, Default)]
struct Notes {
    id: u32,
    ended: bool,
    /// What it waits for as a whole, innermost last.
    waits_for: Vec<(WaitKind, u64)>,
    /// Locks it holds, once for each time, and the driver address that each was taken from.
    holds: Vec<(u64, u64)>,
}

/// The notes of all threads, by the address of the thread object.
#[derive(Debug, Default)]
pub(crate) struct Waits(Mutex<BTreeMap<u64, Notes>>);

impl Waits {
    fn notes(&self) -> MutexGuard<'_, BTreeMap<u64, Notes>> {
        // Nothing panics while it is held, and a panic in the kernel process ends it anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A thread is made. Its object may lie where that of another was, which held what it held.
    pub(super) fn begin(&self, thread: NonNull<KTHREAD>, id: u32) {
        self.notes().insert(key(thread), Notes { id, ..Notes::default() });
    }

    /// A thread has ended. It is remembered only for what it still holds.
    pub(super) fn end(&self, thread: u64) {
        let mut notes = self.notes();
        match notes.get_mut(&thread) {
            Some(ended) if !ended.holds.is_empty() => ended.ended = true,
            _ => drop(notes.remove(&thread)),
        }
    }
}

fn key(thread: NonNull<KTHREAD>) -> u64 {
    thread.as_ptr().addr() as u64
}

impl World {
    pub(super) fn note_wait(&self, on: Option<(WaitKind, usize)>) {
        let mut notes = self.waits.notes();
        let Some(own) = notes.get_mut(&(processor::current_thread().addr() as u64)) else { return };
        match on {
            Some((kind, address)) => own.waits_for.push((kind, address as u64)),
            None => drop(own.waits_for.pop()),
        }
    }

    /// Notes that the current thread spins, for the lock that it has noted, or for the word itself.
    pub(super) fn note_spin(&self, word: usize) {
        let mut notes = self.waits.notes();
        let Some(own) = notes.get_mut(&(processor::current_thread().addr() as u64)) else { return };
        let whole = own.waits_for.last().copied().filter(|(kind, _)| *kind == WaitKind::PushLock);
        own.waits_for.push(whole.unwrap_or((WaitKind::SpinLock, word as u64)));
    }

    /// Returns whether the current thread, which has noted that it spins, waits for a thread that has ended, or in a circle of
    /// threads that all spin.
    pub(super) fn spins_for_ever(&self) -> bool {
        let own = processor::current_thread().addr() as u64;
        let spinning: Vec<u64> =
            self.scheduler.spinners().iter().map(|spinner| key(spinner.thread)).collect();
        let notes = self.waits.notes();
        let mut at = own;
        for _ in 0..=notes.len() {
            let Some((_, lock)) = notes.get(&at).and_then(|notes| notes.waits_for.last().copied()) else {
                return false;
            };
            let mut holders = notes.iter().filter(|(_, own)| own.holds.iter().any(|(held, _)| *held == lock));
            // Where several share it, one that goes on does not free it, and one that does not need not keep it.
            let (Some((holder, its)), None) = (holders.next(), holders.next()) else { return false };
            if its.ended || *holder == own {
                return true;
            }
            if !spinning.contains(holder) {
                return false;
            }
            at = *holder;
        }
        false
    }

    pub(super) fn note_lock(&self, thread: NonNull<KTHREAD>, lock: usize, taken: bool) {
        let current = processor::current_thread() == thread.as_ptr();
        let caller =
            if current { NOW.caller.load(Ordering::Relaxed) } else { self.scheduler.caller_of(thread) };
        let mut notes = self.waits.notes();
        let lock = lock as u64;
        if taken {
            notes.entry(key(thread)).and_modify(|own| own.holds.push((lock, caller)));
            return;
        }
        let let_go = |own: &mut Notes| {
            let last = own.holds.iter().rposition(|(held, _)| *held == lock);
            last.map(|last| own.holds.remove(last)).is_some()
        };
        // What needs no owner, such as a rundown reference, may be given back by another thread.
        if !notes.get_mut(&key(thread)).is_some_and(let_go) {
            notes.values_mut().any(let_go);
        }
    }

    /// Ends the world because nothing can ever run again; `at` is a driver address to blame, and `stack` who called it. `reason` is for the case that the
    /// picture cannot be had.
    pub(super) fn end_in_deadlock(&self, at: u64, stack: &Stack, reason: &str) -> ! {
        self.record(What::Deadlock { waits: self.draw_waits() });
        fault::deadlock(at, stack, reason)
    }

    fn draw_waits(&self) -> Vec<Wait> {
        let mut waits: Vec<Wait> = self
            .scheduler
            .parked()
            .into_iter()
            .filter(|parked| parked.id != 0)
            .map(|parked| self.wait_of(&parked))
            .collect();
        let spinners = self.scheduler.spinners();
        waits.extend(spinners.iter().filter_map(|spinner| self.spin_of(spinner.thread, spinner.caller)));
        // Where nobody runs, the one that ran last is among those that are parked.
        let caller = NOW.caller.load(Ordering::Relaxed);
        let current =
            NonNull::new(processor::current_thread()).and_then(|thread| self.spin_of(thread, caller));
        waits.extend(current.filter(|wait| waits.iter().all(|other| other.thread != wait.thread)));
        waits.sort_by_key(|wait| wait.thread);
        waits
    }

    /// The wait of a thread that is parked without a limit.
    fn wait_of(&self, parked: &Parked) -> Wait {
        let noted = self.waits.notes().get(&key(parked.thread)).and_then(|own| own.waits_for.last().copied());
        let (all, on) = match noted {
            Some((kind, address)) => (false, vec![(kind, address, 0)]),
            None => {
                let executive = self.kernel.get().map(|kernel| kernel.executive());
                // SAFETY: a thread that is parked does not run; what it waits for is alive by the contract of waiting.
                let wait = executive.and_then(|nt| unsafe { nt.wait_of(parked.thread.as_ptr()) });
                let on = wait.as_ref().map_or(&[][..], |wait| &wait.on);
                let on =
                    on.iter().map(|(kind, address, owner)| (*kind, *address as u64, owner.addr() as u64));
                (wait.as_ref().is_some_and(|wait| wait.all), on.collect())
            }
        };
        let at = (parked.caller != 0).then_some(parked.caller);
        let on = on.into_iter().map(|(kind, address, owner)| self.waited_for(kind, address, owner)).collect();
        Wait { thread: parked.id, at, spins: false, all, on }
    }

    /// What a thread spins for, if it does; `caller` is where the driver called the export that it is in.
    fn spin_of(&self, thread: NonNull<KTHREAD>, caller: u64) -> Option<Wait> {
        let (id, (kind, lock)) = {
            let notes = self.waits.notes();
            let own = notes.get(&key(thread))?;
            (own.id, own.waits_for.last().copied()?)
        };
        let on = vec![self.waited_for(kind, lock, 0)];
        Some(Wait { thread: id, at: (caller != 0).then_some(caller), spins: true, all: false, on })
    }

    fn waited_for(&self, kind: WaitKind, address: u64, owner: u64) -> WaitedFor {
        let mut owners: Vec<u64> = match (owner, self.kernel.get()) {
            (0, Some(kernel)) => kernel.owners(kind, address),
            (0, None) => Vec::new(),
            _ => vec![owner],
        };
        let notes = self.waits.notes();
        let holding =
            |own: &Notes| own.holds.iter().find(|(held, _)| *held == address).map(|(_, since)| *since);
        if owners.is_empty() {
            owners =
                notes.iter().filter(|(_, own)| holding(own).is_some()).map(|(thread, _)| *thread).collect();
        }
        let holder = |thread: u64| {
            let own = notes.get(&thread)?;
            let since = holding(own).filter(|since| *since != 0);
            Some(Holder { thread: own.id, since, ended: own.ended })
        };
        let holders = owners.into_iter().filter_map(holder).collect();
        let executive = self.kernel.get().map(|kernel| kernel.executive());
        let place = executive.and_then(|nt| nt.pool_place(address as usize));
        let inside = |place: &executive::mm::PoolPlace| matches!(place.wrong, None | Some(PoolWrong::Freed));
        let block = place.filter(inside).map(|place| place.block);
        WaitedFor { kind, address, name: None, block, holders }
    }
}
