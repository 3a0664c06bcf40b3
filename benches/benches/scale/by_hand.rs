//! The yardsticks: what somebody writes who needs no NT.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::Side;

/// A routine and its context.
struct Listener {
    _routine: usize,
    _context: usize,
}

/// Boxed, because whoever registered knows a listener by its address.
type Listeners = Vec<Box<Listener>>;

#[derive(Default)]
struct Bell {
    references: AtomicUsize,
    listeners: Mutex<Listeners>,
}

/// The order of a hash map's entries does not matter here: nobody lists them.
#[expect(clippy::disallowed_types, reason = "it is the yardstick")]
type Names<T> = std::collections::HashMap<String, Box<T>>;

/// A map that several threads can use, in which names are found whatever their case.
pub(super) struct Map<'a> {
    names: &'a [String],
    bells: Mutex<Names<Bell>>,
    by_number: Vec<*const Bell>,
}

impl<'a> Map<'a> {
    pub(super) fn new(names: &'a [String]) -> Self {
        Self { names, bells: Mutex::default(), by_number: Vec::new() }
    }
}

impl Side for Map<'_> {
    fn create(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
            let bell = bells.entry(self.names[number].to_uppercase()).or_default();
            bell.references.fetch_add(1, Ordering::Relaxed);
            self.by_number.push(&raw const **bell);
        }
    }

    fn open(&mut self, picks: &[usize]) {
        for &pick in picks {
            let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
            let bell = bells.get(&self.names[pick].to_uppercase()).expect("a bell");
            bell.references.fetch_add(1, Ordering::Relaxed);
            let bell = black_box(&raw const **bell);
            drop(bells);
            // SAFETY: boxed, and removed by nobody meanwhile.
            unsafe { &*bell }.references.fetch_sub(1, Ordering::Release);
        }
    }

    fn register(&mut self, picks: &[usize]) {
        for &pick in picks {
            // SAFETY: boxed, and removed by nobody meanwhile.
            let bell = unsafe { &*self.by_number[pick] };
            let listener = Box::new(Listener { _routine: pick, _context: 1 });
            let key = black_box(&raw const *listener);
            bell.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(listener);
            let mut listeners = bell.listeners.lock().unwrap_or_else(PoisonError::into_inner);
            let at = listeners.iter().position(|listener| ptr_eq(listener, key)).expect("the listener");
            drop(listeners.remove(at));
        }
    }

    fn remove(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers.clone() {
            let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
            drop(bells.remove(&self.names[number].to_uppercase()).expect("a bell"));
        }
        self.by_number.drain(numbers);
    }
}

fn ptr_eq(listener: &Listener, key: *const Listener) -> bool {
    std::ptr::eq(listener, key)
}

/// A map of one thread that knows names as they are written.
pub(super) struct Bare<'a> {
    names: &'a [String],
    bells: Names<Listeners>,
    by_number: Vec<*mut Listeners>,
}

impl<'a> Bare<'a> {
    pub(super) fn new(names: &'a [String]) -> Self {
        Self { names, bells: Names::new(), by_number: Vec::new() }
    }
}

impl Side for Bare<'_> {
    fn create(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let bell = self.bells.entry(self.names[number].clone()).or_default();
            self.by_number.push(&raw mut **bell);
        }
    }

    fn open(&mut self, picks: &[usize]) {
        for &pick in picks {
            black_box(self.bells.get(&self.names[pick]).expect("a bell"));
        }
    }

    fn register(&mut self, picks: &[usize]) {
        for &pick in picks {
            // SAFETY: boxed, and nobody else looks at it.
            let bell = unsafe { &mut *self.by_number[pick] };
            bell.push(Box::new(Listener { _routine: pick, _context: 1 }));
            let key = black_box(&raw const **bell.last().expect("a listener"));
            let at = bell.iter().position(|listener| ptr_eq(listener, key)).expect("the listener");
            drop(bell.remove(at));
        }
    }

    fn remove(&mut self, numbers: std::ops::Range<usize>) {
        for number in numbers.clone() {
            drop(self.bells.remove(&self.names[number]).expect("a bell"));
        }
        self.by_number.drain(numbers);
    }
}
