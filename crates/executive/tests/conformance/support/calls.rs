//! The other routines, and closures as callback routines.

use std::cell::RefCell;
use std::ffi::c_void;

use ringbell_executive::Routine;

use super::{Nt, Object, Registered, pointer};

/// Gives a reference back.
pub(crate) fn dereference(nt: &Nt, object: Object) {
    // SAFETY: tests give back references that they own.
    unsafe { nt.ObfDereferenceObject(object.cast()) };
}

pub(crate) fn reference(nt: &Nt, object: Object) {
    // SAFETY: tests pass live objects.
    unsafe { nt.ObfReferenceObject(object.cast()) };
}

pub(crate) fn make_temporary(nt: &Nt, object: Object) {
    // SAFETY: tests pass live objects.
    unsafe { nt.ObMakeTemporaryObject(object.cast()) };
}

/// Code of every listener of these tests: the context is the closure.
pub(crate) extern "win64-unwind" fn call_closure(
    context: *mut c_void,
    argument1: *mut c_void,
    argument2: *mut c_void,
) {
    // SAFETY: `listen` passes a leaked closure.
    let closure = unsafe { &*context.cast::<Box<dyn Fn(usize, usize)>>() };
    closure(argument1.addr(), argument2.addr());
}

/// A context for [`call_closure`]. The closure is leaked, and `'a` is the test's own promise to unregister or
/// stop ringing in time.
pub(crate) fn closure<'a>(action: impl Fn(usize, usize) + 'a) -> *mut c_void {
    let boxed: Box<dyn Fn(usize, usize) + 'a> = Box::new(action);
    Box::into_raw(Box::new(boxed)).cast()
}

/// Registers a routine, which may be refused.
pub(crate) fn register(nt: &Nt, object: Object, routine: usize, context: *mut c_void) -> Registered {
    // SAFETY: tests pass live objects, and routines that take what the tests ring with.
    unsafe { nt.ExRegisterCallback(object, Routine(routine), context) }
}

/// Registers a closure.
pub(crate) fn listen<'a>(nt: &'a Nt, object: Object, action: impl Fn(usize, usize) + 'a) -> Registered {
    let registration = register(nt, object, call_closure as *const () as usize, closure(action));
    assert!(!registration.is_null(), "the registration is not refused");
    registration
}

pub(crate) fn unregister(nt: &Nt, registration: Registered) {
    // SAFETY: tests pass registrations, or what must end the world.
    unsafe { nt.ExUnregisterCallback(registration) };
}

pub(crate) fn ring(nt: &Nt, object: Object, argument1: usize, argument2: usize) {
    // SAFETY: tests ring live objects, or null.
    unsafe { nt.ExNotifyCallback(object, pointer(argument1), pointer(argument2)) };
}

/// A log that closures write.
#[derive(Default)]
pub(crate) struct Log<T>(RefCell<Vec<T>>);

impl<T> Log<T> {
    pub(crate) const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    pub(crate) fn push(&self, value: T) {
        self.0.borrow_mut().push(value);
    }

    pub(crate) fn take(&self) -> Vec<T> {
        self.0.take()
    }
}
