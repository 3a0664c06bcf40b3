//! The lock-free core: how a walk names what it calls, and how a registration is retired.
//!
//! Generic over its [`Cells`], so that what a model checker explores is the code that ships. It therefore imports from `core`
//! only.
//!
//! # The protocol
//!
//! A *name* is a registration's address in a slot of a notifier's record. A walk follows a link only out of the head, or out of the
//! registration it called last, which it still names:
//!
//! 1. it reads the link, names what it leads to, and reads the link again: if it still leads there, the registration was
//!    linked after it was named;
//! 2. it looks whether the registration is leaving. If not, it drops the name of the one before and calls;
//! 3. if so, it drops the name and finds the next one under the object's lock, where links and marks stand still.
//!
//! Whoever unregisters marks the registration as leaving, waits until nobody names it, unlinks it, waits again, and frees it.
//! Between mark and first wait, and between unlinking and second wait, lies a heavy barrier; on the other side a light one
//! lies between naming and reading. So, of a walk that names and a leaver that marks or unlinks, at least one sees what
//! the other did (Dekker's argument). What follows:
//!
//! * a registration that is being called is linked, so its link leads to its present successor and not to memory
//!   that was freed: whoever wants to unlink it waits first, and a walk that named it too late for that wait sees the mark;
//! * a registration that is looked at is not freed: the second wait ends only once it is not named, and a walk that
//!   names it later does not find the link that led to it.
//!
//! A leaver that finds a name counts itself among the sleepers, clears its event, and looks again behind a heavy
//! barrier before it waits; a walk that dropped a name looks for sleepers behind a light one. Again at least one sees the other.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// An atomic pointer.
pub(crate) trait Pointer<T> {
    /// Loads.
    fn load(&self, order: core::sync::atomic::Ordering) -> *mut T;
    /// Stores.
    fn store(&self, value: *mut T, order: core::sync::atomic::Ordering);
}

/// An atomic flag.
pub(crate) trait Flag {
    /// Loads.
    fn load(&self, order: core::sync::atomic::Ordering) -> bool;
    /// Sets.
    fn set(&self, order: core::sync::atomic::Ordering);
}

/// A mistake made on purpose, so that a checker can show that it notices. What ships has [`Flaw::None`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// None.
    None,
    /// The link is not read again after naming.
    NoReread,
    /// The mark is not looked at.
    NoMark,
    /// Nobody looks for names after unlinking.
    NoSecondScan,
    /// Neither side has a barrier.
    NoBarrier,
    /// A name is dropped without releasing what the routine did.
    RelaxedDrop,
    /// A sleeper clears its event after its last look.
    LateClear,
    /// A walk that dropped a name does not look for sleepers.
    NoWake,
}

/// The memory, the barriers and the surroundings of the core. A handle to them: it is copied, so that a walk can keep all of it in
/// registers.
pub(crate) trait Cells: Copy {
    /// A registration, or a list's head: what a link leads to.
    type Node;
    /// A link or a slot.
    type Pointer: Pointer<Self::Node>;
    /// The mark of a registration that is leaving.
    type Flag: Flag;
    /// What acquiring the lock returns.
    type Held;
    /// What a leaver waits on.
    type Event;

    /// The mistake that is made.
    const FLAW: Flaw = Flaw::None;

    /// Returns the link out of `node`.
    ///
    /// # Safety
    ///
    /// `node` is the head, or a registration that is linked or named.
    unsafe fn link<'a>(self, node: *mut Self::Node) -> &'a Self::Pointer
    where
        Self: 'a;

    /// Returns the mark of `node`.
    ///
    /// # Safety
    ///
    /// `node` is a registration that is linked or named.
    unsafe fn leaving<'a>(self, node: *mut Self::Node) -> &'a Self::Flag
    where
        Self: 'a;

    /// Returns whether `node` can be one at all.
    fn plausible(self, node: *mut Self::Node) -> bool;

    /// Keeps the accesses before it before those after it, together with a [`Cells::heavy`] on the other side.
    fn light(self);

    /// The other side of [`Cells::light`].
    fn heavy(self);

    /// Returns whether a slot of any notifier names `node`. Loads with `Acquire`.
    fn is_named(self, node: *mut Self::Node) -> bool;

    /// Acquires the lock of the list.
    fn lock(self) -> Self::Held;

    /// Releases the lock of the list.
    fn unlock(self, held: Self::Held);

    /// Checks that the list still holds `node`, or ends the world. The lock is held.
    ///
    /// # Safety
    ///
    /// `node` is a registration.
    unsafe fn check(self, node: *mut Self::Node);

    /// Takes `node` off its list. The lock is held. The link that led to it is stored with `Release`.
    ///
    /// # Safety
    ///
    /// `node` is linked.
    unsafe fn unlink(self, node: *mut Self::Node);

    /// Returns whether anybody sleeps.
    fn sleepers(self) -> bool;

    /// Counts the current thread among the sleepers while `sleep` runs with its event.
    fn asleep(self, sleep: impl FnOnce(&Self::Event));

    /// Clears the event.
    fn clear(self, event: &Self::Event);

    /// Waits until the event is set.
    fn wait(self, event: &Self::Event);

    /// Sets the event of every sleeper.
    fn wake(self);
}

/// Where a walk goes next.
#[derive(Debug)]
pub(crate) enum Step<N> {
    /// To this registration, which is named.
    Call(*mut N),
    /// The walk is over, and names nothing.
    End,
    /// The link out of this node leads nowhere.
    Corrupt(*mut N),
}

/// One notify on its way through a list.
pub(crate) struct Walk<'a, C: Cells> {
    cells: C,
    head: *mut C::Node,
    /// The registration that was called last, which is named; the head at first.
    called: *mut C::Node,
    slots: &'a [C::Pointer; 2],
}

impl<'a, C: Cells + 'a> Walk<'a, C> {
    /// Begins a walk. The slots are empty, and this walk's alone.
    #[inline(always)]
    pub(crate) fn new(cells: C, head: *mut C::Node, slots: &'a [C::Pointer; 2]) -> Self {
        Self { cells, head, called: head, slots }
    }

    /// Goes to the first registration, and names it in slot 0.
    ///
    /// # Safety
    ///
    /// As for [`Walk::step`].
    #[inline(always)]
    pub(crate) unsafe fn first(&mut self) -> Step<C::Node> {
        // SAFETY: the caller's promise.
        unsafe { self.go(0, false) }
    }

    /// Goes on to the next registration. The slots take turns: `turn` is 1, 0, 1 and so on, a constant at each place that calls
    /// this, so that no slot's address need be kept.
    ///
    /// # Safety
    ///
    /// The list exists during the walk, and everybody changes it under its lock by this protocol. The lock is not held.
    #[inline(always)]
    pub(crate) unsafe fn step(&mut self, turn: usize) -> Step<C::Node> {
        // SAFETY: the caller's promise.
        unsafe { self.go(turn, true) }
    }

    /// # Safety
    ///
    /// As for [`Walk::step`]; `holds` says whether a registration was called before, which is named then.
    #[inline(always)]
    unsafe fn go(&mut self, turn: usize, holds: bool) -> Step<C::Node> {
        let (free, held) = (&self.slots[turn], &self.slots[1 - turn]);
        // SAFETY: the head, or linked because it is named and was not leaving.
        let link = unsafe { self.cells.link(self.called) };
        let mut found = link.load(Acquire);
        loop {
            if found == self.head {
                if holds {
                    drop_name(self.cells, held);
                }
                return Step::End;
            }
            if !self.cells.plausible(found) {
                return Step::Corrupt(self.called);
            }
            free.store(found, Relaxed);
            light(self.cells);
            if C::FLAW == Flaw::NoReread {
                break;
            }
            let again = link.load(Acquire);
            if again == found {
                break;
            }
            // Somebody may have seen the name.
            drop_name(self.cells, free);
            found = again;
        }
        // SAFETY: named while it was linked.
        if C::FLAW != Flaw::NoMark && unsafe { self.cells.leaving(found) }.load(Acquire) {
            drop_name(self.cells, free);
            // SAFETY: the caller's promise; `called` is the head, or linked.
            match unsafe { step_locked(self.cells, self.head, self.called, free) } {
                Step::Call(next) => found = next,
                Step::End => {
                    if holds {
                        drop_name(self.cells, held);
                    }
                    return Step::End;
                }
                Step::Corrupt(at) => return Step::Corrupt(at),
            }
        }
        // The one before is dropped ahead of the call: a routine that unregisters its predecessor must not wait for itself.
        if holds {
            drop_name(self.cells, held);
        }
        self.called = found;
        Step::Call(found)
    }
}

/// Finds the next registration after `called` that is not leaving, and names it in `free`.
///
/// # Safety
///
/// As for [`Walk::step`]; `called` is the head, or linked.
#[cold]
#[inline(never)]
unsafe fn step_locked<C: Cells>(
    cells: C,
    head: *mut C::Node,
    called: *mut C::Node,
    free: &C::Pointer,
) -> Step<C::Node> {
    let held = cells.lock();
    let mut node = called;
    let step = loop {
        // SAFETY: the head, or linked: the lock is held.
        let next = unsafe { cells.link(node) }.load(Acquire);
        if next == head {
            break Step::End;
        }
        if !cells.plausible(next) {
            break Step::Corrupt(node);
        }
        // SAFETY: linked: the lock is held.
        if !unsafe { cells.leaving(next) }.load(Acquire) {
            // Whoever marks it does so under the lock, and sees the name.
            free.store(next, Relaxed);
            break Step::Call(next);
        }
        node = next;
    };
    cells.unlock(held);
    step
}

/// Empties a slot, and wakes those who may wait for that.
#[inline(always)]
fn drop_name<C: Cells>(cells: C, slot: &C::Pointer) {
    slot.store(core::ptr::null_mut(), if C::FLAW == Flaw::RelaxedDrop { Relaxed } else { Release });
    light(cells);
    if cells.sleepers() && C::FLAW != Flaw::NoWake {
        cells.wake();
    }
}

#[inline(always)]
fn light<C: Cells>(cells: C) {
    if C::FLAW != Flaw::NoBarrier {
        cells.light();
    }
}

/// Takes `node` off its list. When this returns, nobody is in its routine, nobody will be, and nobody looks at it.
///
/// `pinned` says whether something other than a name keeps it; what ends that wakes the sleepers. `waits` is called once, before
/// the first wait.
///
/// # Safety
///
/// `node` is a registration, and this is called once for it. (A second call ends the world, as long as the memory is still
/// there.)
pub(crate) unsafe fn retire<C: Cells>(
    cells: C,
    node: *mut C::Node,
    pinned: impl Fn() -> bool,
    waits: impl FnOnce(),
) {
    let held = cells.lock();
    // SAFETY: a registration by the caller's promise.
    unsafe { cells.check(node) };
    // SAFETY: linked, as was just checked.
    unsafe { cells.leaving(node) }.set(Release);
    cells.unlock(held);
    heavy(cells);
    quiesce(cells, || !cells.is_named(node) && !pinned(), waits);
    let held = cells.lock();
    // SAFETY: linked, as was checked; nobody else unlinks it.
    unsafe { cells.unlink(node) };
    cells.unlock(held);
    heavy(cells);
    if C::FLAW != Flaw::NoSecondScan {
        quiesce(cells, || !cells.is_named(node), || ());
    }
}

/// Waits until `idle`.
fn quiesce<C: Cells>(cells: C, idle: impl Fn() -> bool, waits: impl FnOnce()) {
    if idle() {
        return;
    }
    waits();
    cells.asleep(|event| {
        loop {
            if C::FLAW != Flaw::LateClear {
                cells.clear(event);
            }
            heavy(cells);
            if idle() {
                break;
            }
            if C::FLAW == Flaw::LateClear {
                cells.clear(event);
            }
            cells.wait(event);
        }
    });
}

fn heavy<C: Cells>(cells: C) {
    if C::FLAW != Flaw::NoBarrier {
        cells.heavy();
    }
}
