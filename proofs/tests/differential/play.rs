//! Plays a history on an executive and writes down what came of it, in words that do not depend on addresses.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::null_mut;
use std::rc::Rc;

use executive::solo::{Outcome, Solo};
use executive::{CallbackObject, CallbackOptions, Executive, Platform, Protocol, Registration, StatusError};
use nt::profile::NotifyDispatchMode;
use nt::{CALLBACK_REGISTRATION, Irql, Profile};

use crate::history::{BUDGET, CURSORS, Deed, History, NAMES, SLOTS};

type Nt = &'static Executive<Solo>;
type Bell = CallbackObject<'static, Solo>;

/// Most notifies inside each other. More than *Swift* has slots for.
const DEPTH: usize = 9;

/// One line of what came of a history. Objects, listeners and notifies have numbers in the order of their appearance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// An object was created or opened, or a status.
    Got(Result<usize, u32>),
    /// A routine was registered, or refused.
    Registered { object: usize, listener: Option<usize> },
    /// `ExUnregisterCallback` is called.
    Leaves { listener: usize },
    /// It came back.
    Left { listener: usize },
    /// A notify begins.
    Rings { notify: usize, object: usize },
    /// A routine is called.
    Called { notify: usize, listener: usize },
    /// It returns.
    Returns { notify: usize, listener: usize },
    /// A notify is over.
    Rung { notify: usize },
    /// An enumeration went on from one listener to another.
    Stepped { object: usize, from: Option<usize>, to: Option<usize> },
    /// What there is.
    Seen(Vec<Seen>),
    /// The world ended.
    Over(String),
}

/// One callback object as it lies in memory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) name: String,
    pub(crate) object: Option<usize>,
    /// `PermanentObject` and `AllowMultipleCallbacks`.
    pub(crate) settings: (bool, bool),
    /// `PointerCount`, `HandleCount`, flags and mask of the header.
    pub(crate) header: (i64, i64, u8, u8),
    /// Listeners in the order of the list, with the calls and enumerations that are in them.
    pub(crate) listeners: Vec<(Option<usize>, u32)>,
}

struct Listener {
    object: usize,
    address: u64,
    registration: Registration<'static, Solo>,
}

/// A registration that an enumeration pins, and its object.
#[derive(Clone, Copy)]
struct Cursor {
    object: usize,
    at: *mut CALLBACK_REGISTRATION,
}

struct World {
    nt: Nt,
    history: History,
    lines: RefCell<Vec<Line>>,
    slots: RefCell<[Option<Rc<Bell>>; SLOTS]>,
    listeners: RefCell<BTreeMap<usize, Listener>>,
    cursors: Cell<[Option<Cursor>; CURSORS]>,
    /// Numbers of objects by address.
    numbers: RefCell<BTreeMap<u64, usize>>,
    /// Listeners whose routines run.
    running: RefCell<Vec<usize>>,
    /// Objects whose lock a notify holds.
    held: RefCell<Vec<usize>>,
    budget: Cell<usize>,
    depth: Cell<usize>,
    objects: Cell<usize>,
    born: Cell<usize>,
    notifies: Cell<usize>,
}

fn count(counter: &Cell<usize>) -> usize {
    counter.replace(counter.get() + 1)
}

/// Plays a history from the beginning.
pub(crate) fn play(history: &History, protocol: Protocol) -> Vec<Line> {
    let solo = Solo::with_end(|outcome| resume_unwind(Box::new(outcome)));
    if history.listening {
        solo.listen();
    }
    let profile = Profile::ALL[history.profile];
    let nt = Executive::boot_with(solo, profile, protocol).expect("it boots");
    let nt = Box::into_raw(Box::new(nt));
    let world = Rc::new(World {
        // SAFETY: freed below, when nothing refers to it any more.
        nt: unsafe { &*nt },
        history: history.clone(),
        lines: RefCell::default(),
        slots: RefCell::default(),
        listeners: RefCell::default(),
        cursors: Cell::default(),
        numbers: RefCell::default(),
        running: RefCell::default(),
        held: RefCell::default(),
        budget: Cell::new(BUDGET),
        depth: Cell::new(0),
        objects: Cell::new(0),
        born: Cell::new(0),
        notifies: Cell::new(0),
    });
    let end = catch_unwind(AssertUnwindSafe(|| {
        for deed in &history.deeds {
            world.act(deed);
        }
        world.look();
        world.leave_all();
        world.look();
    }));
    if let Err(payload) = end {
        world.over(payload);
    }
    let lines = world.lines.take();
    // In a world that is over this gives back nothing; otherwise the references. Closures hold the world, so the maps are emptied by hand.
    drop(world.listeners.take());
    drop(world.slots.take());
    drop(world);
    // SAFETY: from the box above; registrations and references are gone. Closures of a world that is over keep only its address.
    drop(unsafe { Box::from_raw(nt) });
    lines
}

impl World {
    fn write(&self, line: Line) {
        self.lines.borrow_mut().push(line);
    }

    /// Writes down how the world ended. Reasons name addresses, so only the kind and the code are compared.
    fn over(&self, payload: Box<dyn Any + Send>) {
        let outcome = payload.downcast::<Outcome>().unwrap_or_else(|other| resume_unwind(other));
        self.write(Line::Over(match *outcome {
            Outcome::Bugcheck(check) => format!("bugcheck {}", check.code),
            Outcome::Deadlock(_) => "deadlock".into(),
        }));
    }

    fn raised(&self) -> bool {
        self.nt.platform().irql() >= Irql::DISPATCH
    }

    fn bell(&self, slot: usize) -> Option<(usize, Rc<Bell>)> {
        let bell = self.slots.borrow()[slot].clone()?;
        let number = self.numbers.borrow()[&(bell.as_ptr().addr() as u64)];
        Some((number, bell))
    }

    /// Keeps what was got, and gives an object that was not there before a number.
    fn keep(&self, slot: usize, get: impl FnOnce() -> Result<Bell, StatusError>) {
        let before: Vec<u64> = self.nt.snapshot().objects.iter().map(|object| object.address).collect();
        let got = get();
        let got = got.map(|bell| {
            let address = bell.as_ptr().addr() as u64;
            let mut numbers = self.numbers.borrow_mut();
            if !before.contains(&address) {
                numbers.remove(&address);
            }
            (*numbers.entry(address).or_insert_with(|| count(&self.objects)), bell)
        });
        self.write(Line::Got(got.as_ref().map(|(number, _)| *number).map_err(|error| error.0.0)));
        if let Ok((_, bell)) = got {
            let old = self.slots.borrow_mut()[slot].replace(Rc::new(bell));
            drop(old);
        }
    }

    fn act(self: &Rc<Self>, deed: &Deed) {
        if self.budget.get() == 0 {
            return;
        }
        self.budget.set(self.budget.get() - 1);
        match *deed {
            Deed::Create { slot, name, permanent, multiple } if !self.raised() => {
                let mut options =
                    name.map_or_else(CallbackOptions::unnamed, |name| CallbackOptions::named(NAMES[name]));
                if permanent {
                    options = options.permanent();
                }
                if !multiple {
                    options = options.single();
                }
                self.keep(slot, || self.nt.create_callback(&options));
            }
            Deed::Open { slot, name, insensitive } if !self.raised() => {
                self.keep(slot, || self.nt.open_callback(NAMES[name], insensitive));
            }
            Deed::Drop { slot } if !self.raised() => {
                let bell = self.slots.borrow_mut()[slot].take();
                drop(bell);
            }
            Deed::MakeTemporary { slot } if !self.raised() => {
                if let Some((_, bell)) = self.bell(slot) {
                    bell.make_temporary();
                }
            }
            Deed::Register { slot, script } => self.register(slot, script),
            Deed::Unregister { which, brave } => self.unregister(which, brave),
            Deed::Notify { slot, raised, brave } => self.notify(slot, raised, brave),
            Deed::Step { slot, cursor } if !self.raised() => self.step(slot, cursor),
            Deed::Look if !self.raised() => self.look(),
            _ => {}
        }
    }

    fn register(self: &Rc<Self>, slot: usize, script: usize) {
        let Some((object, bell)) = self.bell(slot) else { return };
        if self.held.borrow().contains(&object) {
            return;
        }
        let listener = count(&self.born);
        let world = Rc::clone(self);
        let registration = bell.register_local(move |notify, _| world.called(notify, listener, script));
        self.write(Line::Registered { object, listener: registration.is_ok().then_some(listener) });
        if let Ok(registration) = registration {
            let address = registration.as_ptr().addr() as u64;
            self.listeners.borrow_mut().insert(listener, Listener { object, address, registration });
        }
    }

    /// What every routine does.
    fn called(self: &Rc<Self>, notify: usize, listener: usize, script: usize) {
        self.write(Line::Called { notify, listener });
        self.running.borrow_mut().push(listener);
        for deed in &self.history.scripts[script] {
            self.act(deed);
        }
        self.running.borrow_mut().pop();
        self.write(Line::Returns { notify, listener });
    }

    /// Whether unregistering would wait for the thread that does it.
    fn is_in_use(&self, number: usize) -> bool {
        let listeners = self.listeners.borrow();
        let pinned = |cursor: &Cursor| cursor.at.addr() as u64 == listeners[&number].address;
        self.running.borrow().contains(&number)
            || self.cursors.get().iter().flatten().any(pinned)
            || self.held.borrow().contains(&listeners[&number].object)
    }

    fn unregister(&self, which: usize, brave: bool) {
        let live: Vec<usize> = self.listeners.borrow().keys().copied().collect();
        let Some(listener) = live.get(which % live.len().max(1)).copied() else { return };
        if self.is_in_use(listener) && !brave {
            return;
        }
        self.write(Line::Leaves { listener });
        let gone = self.listeners.borrow_mut().remove(&listener).expect("it is registered");
        drop(gone.registration);
        self.write(Line::Left { listener });
    }

    fn notify(&self, slot: usize, raised: bool, brave: bool) {
        let Some((object, bell)) = self.bell(slot) else { return };
        if self.depth.get() >= DEPTH || self.held.borrow().contains(&object) && !brave {
            return;
        }
        let notify = count(&self.notifies);
        self.write(Line::Rings { notify, object });
        let old = if raised { self.nt.KeRaiseIrql(Irql::DISPATCH) } else { self.nt.KeGetCurrentIrql() };
        let holds = self.raised() && self.nt.profile().notify_dispatch_mode.value == NotifyDispatchMode::Held;
        if holds {
            self.held.borrow_mut().push(object);
        }
        self.depth.set(self.depth.get() + 1);
        bell.notify(notify, 0);
        self.depth.set(self.depth.get() - 1);
        if holds {
            self.held.borrow_mut().pop();
        }
        self.nt.KeLowerIrql(old);
        self.write(Line::Rung { notify });
    }

    fn listener_at(&self, address: u64) -> Option<usize> {
        self.listeners
            .borrow()
            .iter()
            .find(|(_, listener)| listener.address == address)
            .map(|(number, _)| *number)
    }

    fn step(&self, slot: usize, index: usize) {
        let mut cursors = self.cursors.get();
        let (object, bell) = match self.bell(slot) {
            Some(found) if cursors[index].is_none_or(|cursor| cursor.object == found.0) => found,
            _ => return,
        };
        let mut at = cursors[index].map_or(null_mut(), |cursor| cursor.at);
        let from = self.listener_at(at.addr() as u64);
        // SAFETY: a live object, and a cursor that this routine left there, of the same object.
        let found = unsafe { self.nt.ExpEnumerateCallback(bell.as_ptr(), &raw mut at) };
        cursors[index] = found.is_some().then_some(Cursor { object, at });
        self.cursors.set(cursors);
        let to = found.and_then(|_| self.listener_at(at.addr() as u64));
        self.write(Line::Stepped { object, from, to });
    }

    fn look(&self) {
        let mut seen: Vec<Seen> = Vec::new();
        for object in self.nt.snapshot().objects {
            seen.push(Seen {
                name: object.display_name(),
                object: self.numbers.borrow().get(&object.address).copied(),
                settings: (object.permanent, object.allow_multiple),
                header: (object.pointer_count, object.handle_count, object.flags, object.info_mask),
                listeners: (object.listeners.iter())
                    .map(|listener| (self.listener_at(listener.registration), listener.busy))
                    .collect(),
            });
        }
        if !self.nt.profile().has_global_list.value {
            // Found by address there.
            seen.sort();
        }
        self.write(Line::Seen(seen));
    }

    /// Gives everything back: enumerations to their end, then registrations, then references.
    fn leave_all(&self) {
        let mut cursors = self.cursors.take();
        for cursor in cursors.iter_mut().flatten() {
            let object =
                self.listeners.borrow()[&self.listener_at(cursor.at.addr() as u64).expect("pinned")].object;
            assert_eq!(object, cursor.object);
            let bell = self.numbers.borrow().iter().find(|(_, number)| **number == object).map(|(at, _)| *at);
            let bell = std::ptr::with_exposed_provenance_mut(bell.expect("an object") as usize);
            // SAFETY: the registration that is pinned keeps the object.
            while unsafe { self.nt.ExpEnumerateCallback(bell, &raw mut cursor.at) }.is_some() {}
        }
        let left = self.listeners.borrow().len();
        (0..left).for_each(|_| self.unregister(0, true));
        let slots = self.slots.take();
        drop(slots);
    }
}
