//! The core's cells in loom's memory.

use std::marker::PhantomData;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering, fence};
use loom::sync::{Condvar, Mutex, MutexGuard};

use crate::protocol::{Cells, Flag, Flaw, Pointer, Step, Walk, retire};

/// What is done wrong.
pub(crate) trait Mistake: Copy + 'static {
    /// In the core.
    const FLAW: Flaw = Flaw::None;
    /// How a registration is linked.
    const PUBLISH: Ordering = Ordering::Release;
}

/// Nothing.
#[derive(Clone, Copy)]
pub(crate) struct Sound;
impl Mistake for Sound {}

impl<T> Pointer<T> for AtomicPtr<T> {
    fn load(&self, order: Ordering) -> *mut T {
        self.load(order)
    }
    fn store(&self, value: *mut T, order: Ordering) {
        self.store(value, order);
    }
}

impl Flag for AtomicBool {
    fn load(&self, order: Ordering) -> bool {
        self.load(order)
    }
    fn set(&self, order: Ordering) {
        self.store(true, order);
    }
}

/// A registration, or the head.
pub(crate) struct Node {
    next: AtomicPtr<Node>,
    leaving: AtomicBool,
    /// The block itself. Whoever follows or reads the registration reads it, whoever frees or reuses the block writes it: an access after
    /// the end is a race that loom reports.
    block: UnsafeCell<u32>,
    /// What the routine works on. It is written by whoever unregistered: the routine must be over by then.
    state: UnsafeCell<u32>,
}

impl Node {
    fn new() -> Self {
        Self {
            next: AtomicPtr::new(std::ptr::null_mut()),
            leaving: AtomicBool::new(false),
            block: UnsafeCell::new(0),
            state: UnsafeCell::new(0),
        }
    }
}

/// What a sleeper waits on.
pub(crate) struct Event {
    set: Mutex<bool>,
    changed: Condvar,
}

/// A callback object with its notifiers.
pub(crate) struct World<M: Mistake> {
    head: Node,
    nodes: Vec<Node>,
    /// Two slots for every notify that can be under way.
    slots: Vec<[AtomicPtr<Node>; 2]>,
    lock: Mutex<()>,
    count: AtomicUsize,
    sleepers: Mutex<Vec<*const Event>>,
    mistake: PhantomData<M>,
}

// SAFETY: loom's threads take turns; what they share is loom's cells, which report every race.
unsafe impl<M: Mistake> Send for World<M> {}
// SAFETY: as above.
unsafe impl<M: Mistake> Sync for World<M> {}

impl<M: Mistake> World<M> {
    /// Makes a world with room for `nodes` registrations and `notifies` notifies.
    pub(crate) fn new(nodes: usize, notifies: usize) -> Self {
        let empty = || AtomicPtr::new(std::ptr::null_mut());
        Self {
            head: Node::new(),
            nodes: (0..nodes).map(|_| Node::new()).collect(),
            slots: (0..notifies).map(|_| [empty(), empty()]).collect(),
            lock: Mutex::new(()),
            count: AtomicUsize::new(0),
            sleepers: Mutex::new(Vec::new()),
            mistake: PhantomData,
        }
    }

    /// Ties the empty list. Not in `new`, because the world has its address only afterwards.
    pub(crate) fn tie(&self) {
        self.head.next.store(self.head(), Ordering::Relaxed);
    }

    fn head(&self) -> *mut Node {
        (&raw const self.head).cast_mut()
    }

    fn node(&self, index: usize) -> *mut Node {
        (&raw const self.nodes[index]).cast_mut()
    }

    fn at(&self, node: *mut Node) -> &Node {
        // SAFETY: pointers to nodes are pointers into this world.
        unsafe { &*node }
    }

    /// Registers node `index` at the end of the list. A node that was retired may be registered again: its block is reused.
    pub(crate) fn register(&self, index: usize) {
        let node = &self.nodes[index];
        // SAFETY: loom reports anybody who looks at the block meanwhile.
        node.block.with_mut(|block| unsafe { *block += 1 });
        node.leaving.store(false, Ordering::Relaxed);
        let held = self.lock.lock().expect("a sane lock");
        let mut last = self.head();
        while self.at(last).next.load(Ordering::Relaxed) != self.head() {
            last = self.at(last).next.load(Ordering::Relaxed);
        }
        node.next.store(self.head(), Ordering::Relaxed);
        self.at(last).next.store(self.node(index), M::PUBLISH);
        drop(held);
    }

    /// Unregisters node `index` and frees it.
    pub(crate) fn unregister(&self, index: usize) {
        // SAFETY: linked, and unregistered once; the scenarios see to it.
        unsafe { retire(self, self.node(index), || false, || ()) };
        // SAFETY: loom reports a routine that still runs.
        self.nodes[index].state.with_mut(|state| unsafe { *state += 1 });
        // SAFETY: loom reports anybody who still looks.
        self.nodes[index].block.with_mut(|block| unsafe { *block += 1 });
    }

    /// Notifies with the slots `notify`, and returns the registrations in the order in which they were called. `routine` runs in each.
    pub(crate) fn notify(&self, notify: usize, routine: impl Fn(usize)) -> Vec<usize> {
        let mut called = Vec::new();
        let mut walk = Walk::new(self, self.head(), &self.slots[notify]);
        // SAFETY: the world outlives the walk; everybody keeps to the protocol.
        let mut step = unsafe { walk.first() };
        let mut turn = 1;
        while let Step::Call(node) = step {
            let index = self.nodes.iter().position(|own| std::ptr::eq(own, node)).expect("a registration");
            // SAFETY: loom reports a block that is freed, or not complete.
            self.at(node).block.with(|block| assert!(unsafe { *block } % 2 == 1, "a dead block is called"));
            // SAFETY: loom reports whoever believes that the routine is over.
            self.at(node).state.with(|state| unsafe { state.read() });
            called.push(index);
            routine(index);
            // SAFETY: as above.
            step = unsafe { walk.step(turn) };
            turn ^= 1;
        }
        assert!(matches!(step, Step::End));
        called
    }

    /// Returns the node before a node that is linked. The lock is held.
    fn before(&self, node: *mut Node) -> *mut Node {
        let mut before = self.head();
        while self.at(before).next.load(Ordering::Relaxed) != node {
            before = self.at(before).next.load(Ordering::Relaxed);
            assert!(before != self.head(), "not linked");
        }
        before
    }

    /// Returns the list as it is.
    pub(crate) fn listed(&self) -> Vec<usize> {
        let _held = self.lock.lock().expect("a sane lock");
        let mut listed = Vec::new();
        let mut node = self.at(self.head()).next.load(Ordering::Relaxed);
        while node != self.head() {
            listed.extend(self.nodes.iter().position(|own| std::ptr::eq(own, node)));
            node = self.at(node).next.load(Ordering::Relaxed);
        }
        listed
    }
}

impl<'w, M: Mistake> Cells for &'w World<M> {
    type Node = Node;
    type Pointer = AtomicPtr<Node>;
    type Flag = AtomicBool;
    type Held = MutexGuard<'w, ()>;
    type Event = Event;

    const FLAW: Flaw = M::FLAW;

    unsafe fn link<'a>(self, node: *mut Node) -> &'a AtomicPtr<Node>
    where
        Self: 'a,
    {
        let node = self.at(node);
        node.block.with(|_| ());
        &node.next
    }

    unsafe fn leaving<'a>(self, node: *mut Node) -> &'a AtomicBool
    where
        Self: 'a,
    {
        let node = self.at(node);
        node.block.with(|_| ());
        &node.leaving
    }

    fn plausible(self, node: *mut Node) -> bool {
        !node.is_null()
    }

    fn light(self) {
        fence(Ordering::SeqCst);
    }

    fn heavy(self) {
        fence(Ordering::SeqCst);
    }

    fn is_named(self, node: *mut Node) -> bool {
        self.slots.iter().flatten().any(|slot| slot.load(Ordering::Acquire) == node)
    }

    fn lock(self) -> MutexGuard<'w, ()> {
        self.lock.lock().expect("a sane lock")
    }

    fn unlock(self, held: MutexGuard<'w, ()>) {
        drop(held);
    }

    unsafe fn check(self, node: *mut Node) {
        self.before(node);
    }

    unsafe fn unlink(self, node: *mut Node) {
        let before = self.before(node);
        let after = self.at(node).next.load(Ordering::Relaxed);
        self.at(before).next.store(after, Ordering::Release);
    }

    fn sleepers(self) -> bool {
        self.count.load(Ordering::Relaxed) != 0
    }

    fn asleep(self, sleep: impl FnOnce(&Event)) {
        let event = Event { set: Mutex::new(false), changed: Condvar::new() };
        let own: *const Event = &raw const event;
        self.sleepers.lock().expect("a sane lock").push(own);
        self.count.fetch_add(1, Ordering::SeqCst);
        sleep(&event);
        self.sleepers.lock().expect("a sane lock").retain(|other| *other != own);
        self.count.fetch_sub(1, Ordering::SeqCst);
    }

    fn clear(self, event: &Event) {
        *event.set.lock().expect("a sane lock") = false;
    }

    fn wait(self, event: &Event) {
        let mut set = event.set.lock().expect("a sane lock");
        while !*set {
            set = event.changed.wait(set).expect("a sane lock");
        }
    }

    fn wake(self) {
        for event in self.sleepers.lock().expect("a sane lock").iter() {
            // SAFETY: a sleeper takes itself off this list, under its lock, before its event ends.
            let event = unsafe { &**event };
            *event.set.lock().expect("a sane lock") = true;
            event.changed.notify_all();
        }
    }
}
