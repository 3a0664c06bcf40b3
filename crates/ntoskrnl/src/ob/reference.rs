//! Counted references.

use core::ffi::c_void;

use nt::{NTSTATUS, OBJECT_HEADER};
use record::What;

use crate::export::Address;
use crate::guest::Guest;
use crate::kernel::Kernel;

/// The body of an object: checked together with the header before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Object(pub(crate) Address);

impl crate::export::Argument for Object {
    const KIND: crate::export::Kind = crate::export::Kind::Pointer;

    fn decode(kernel: &Kernel, frame: &crate::CallFrame, index: usize) -> Self {
        let body = frame.argument(index);
        Guest::<OBJECT_HEADER>::new(kernel, body.wrapping_sub(OBJECT_HEADER::BODY_OFFSET as u64));
        Self(Address(body))
    }
}

impl Object {
    pub(crate) fn ptr(self) -> *mut c_void {
        self.0.ptr()
    }
}

/// Returns whether an object is a callback object, and so one whose references are accounted for.
fn is_accounted(k: &Kernel, object: *mut c_void) -> bool {
    // SAFETY: the caller has a reference on the object, or is about to give one back.
    unsafe { k.executive().ObGetObjectType(object) == k.executive().ExCallbackObjectType() }
}

/// Tells of a reference that a driver got, `count` being what the header says now.
pub(crate) fn referenced(k: &Kernel, object: *mut c_void) {
    if is_accounted(k, object) {
        // SAFETY: the driver has just got a reference.
        let count = unsafe { k.executive().object_facts(object) }.pointer_count;
        k.host().emit(What::Referenced { object: object.expose_provenance() as u64, count });
    }
}

fn dereference(k: &Kernel, object: Object, give_back: impl FnOnce(*mut c_void) -> i64) -> i64 {
    let accounted = is_accounted(k, object.ptr());
    if !accounted {
        return give_back(object.ptr());
    }
    // The event goes first: what giving back the last reference sets going must come after it in the stream.
    // SAFETY: the driver has a reference, which it gives back now.
    let count = unsafe { k.executive().object_facts(object.ptr()) }.pointer_count - 1;
    k.host().emit(What::Dereferenced { object: object.0.0, count });
    give_back(object.ptr())
}

/// Takes a reference and returns the count.
pub(crate) fn ObfReferenceObject(k: &Kernel, object: Object) -> i64 {
    // SAFETY: that somebody has a reference already is the driver's contract.
    let count = unsafe { k.executive().ObfReferenceObject(object.ptr()) };
    referenced(k, object.ptr());
    count
}

/// Takes a reference and names it with a tag, which nothing reads here.
pub(crate) fn ObfReferenceObjectWithTag(k: &Kernel, object: Object, _tag: u32) -> i64 {
    ObfReferenceObject(k, object)
}

/// Takes a reference if the object is not being deleted.
pub(crate) fn ObReferenceObjectSafe(k: &Kernel, object: Object) -> u8 {
    // SAFETY: that the memory is still an object's is the driver's contract.
    let taken = unsafe { k.executive().ObReferenceObjectSafe(object.ptr()) };
    if taken {
        referenced(k, object.ptr());
    }
    u8::from(taken)
}

/// Gives a reference back and returns the count.
pub(crate) fn ObfDereferenceObject(k: &Kernel, object: Object) -> i64 {
    dereference(k, object, |object| {
        // SAFETY: that the driver has the reference is its contract.
        unsafe { k.executive().ObfDereferenceObject(object) }
    })
}

/// Gives a tagged reference back and returns the count.
pub(crate) fn ObfDereferenceObjectWithTag(k: &Kernel, object: Object, _tag: u32) -> i64 {
    ObfDereferenceObject(k, object)
}

/// Gives a reference back; a deletion is left to a worker.
pub(crate) fn ObDereferenceObjectDeferDelete(k: &Kernel, object: Object) {
    dereference(k, object, |object| {
        // SAFETY: that the driver has the reference is its contract.
        unsafe { k.executive().ObDereferenceObjectDeferDelete(object) }
    });
}

/// Gives a tagged reference back; a deletion is left to a worker.
pub(crate) fn ObDereferenceObjectDeferDeleteWithTag(k: &Kernel, object: Object, _tag: u32) {
    ObDereferenceObjectDeferDelete(k, object);
}

/// Takes a reference if the object is of the type.
pub(crate) fn ObReferenceObjectByPointer(
    k: &Kernel,
    object: Object,
    access: u32,
    object_type: Address,
    mode: u8,
) -> NTSTATUS {
    // SAFETY: that somebody has a reference, and that the type is null or a type, is the driver's contract.
    let status =
        unsafe { k.executive().ObReferenceObjectByPointer(object.ptr(), access, object_type.ptr(), mode) };
    if status.is_success() {
        referenced(k, object.ptr());
    }
    status
}

/// Takes a tagged reference if the object is of the type.
pub(crate) fn ObReferenceObjectByPointerWithTag(
    k: &Kernel,
    object: Object,
    access: u32,
    object_type: Address,
    mode: u8,
    _tag: u32,
) -> NTSTATUS {
    ObReferenceObjectByPointer(k, object, access, object_type, mode)
}

/// Returns the type of an object.
pub(crate) fn ObGetObjectType(k: &Kernel, object: Object) -> Address {
    // SAFETY: that somebody has a reference is the driver's contract.
    unsafe { k.executive().ObGetObjectType(object.ptr()) }.into()
}

/// Lets the name of an object go as soon as no handle is open.
pub(crate) fn ObMakeTemporaryObject(k: &Kernel, object: Object) {
    // SAFETY: that the driver has a reference is its contract.
    unsafe { k.executive().ObMakeTemporaryObject(object.ptr()) }
}
