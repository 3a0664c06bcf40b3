//! Snapshots: every callback object with its listeners, and the namespace, as data.

use alloc::vec::Vec;
use core::ffi::c_void;

use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, LIST_ENTRY};
use record::{ListenerSnapshot, ObjectSnapshot, Snapshot};

use super::{Globals, create, registration};
use crate::executive::Executive;
use crate::ke::list;
use crate::platform::{Platform, Routine};
use crate::raw::{Live, field};

impl<P: Platform> Executive<P> {
    /// Describes every callback object, in creation order, and the namespace.
    ///
    /// Versions without the global list have their objects found in the pool, which on a real machine only a
    /// debugger can do.
    ///
    /// # IRQL
    ///
    /// `PASSIVE_LEVEL`.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { objects: self.ex_objects(), namespace: self.namespace() }
    }

    /// Every object is held by a reference while it is described, so that no lock of `ex` is held around
    /// those of `ob`.
    fn ex_objects(&self) -> Vec<ObjectSnapshot> {
        let bodies = if self.profile().has_global_list.value {
            self.ex_bodies_on_list()
        } else {
            let mut bodies = self.ex_bodies_in_pool();
            // SAFETY: objects the pool has now; nobody else deletes one meanwhile, or this is a debugger's
            // race, as it would be on Windows.
            bodies.retain(|body| unsafe { self.ObReferenceObjectSafe(*body) });
            bodies
        };
        let mut objects = Vec::with_capacity(bodies.len());
        for body in bodies {
            // SAFETY: live by the reference that came with it.
            objects.push(unsafe { self.ex_describe(body.cast()) });
            // SAFETY: gives that reference back.
            unsafe { self.ObfDereferenceObject(body) };
        }
        objects
    }

    /// Finds bodies by the tag of their blocks: a body is the end of its block.
    fn ex_bodies_in_pool(&self) -> Vec<*mut c_void> {
        let size = self.profile().object_size.value;
        let blocks = self.pool_blocks_tagged(self.profile().object_pool_tag.value);
        let body = |block: &crate::mm::PoolBlock| block.address + block.bytes - size;
        blocks.iter().map(|block| core::ptr::with_exposed_provenance_mut(body(block))).collect()
    }

    fn ex_bodies_on_list(&self) -> Vec<*mut c_void> {
        self.ex_with_list_shared(|| {
            let head = field!(self.ex(), Globals, list_head);
            let mut bodies: Vec<*mut c_void> = Vec::new();
            let mut node = head;
            while let Some(next) = self.ke_checked(list::next(head, node), create::LIST) {
                node = next;
                let offset = core::mem::offset_of!(CALLBACK_OBJECT, ExpCallbackList);
                let body = node.ptr().wrapping_byte_sub(offset).cast();
                // SAFETY: what is on the list is not freed before it is off, and the list lock is held.
                if unsafe { self.ObReferenceObjectSafe(body) } {
                    bodies.push(body);
                }
            }
            bodies
        })
    }

    /// # Safety
    ///
    /// `object` is a live callback object; the caller holds one reference, which is not counted.
    unsafe fn ex_describe(&self, object: *mut CALLBACK_OBJECT) -> ObjectSnapshot {
        // SAFETY: the caller's promise.
        let facts = unsafe { self.object_facts(object.cast()) };
        // SAFETY: the caller's promise.
        let body = unsafe { Live::new(object) };
        ObjectSnapshot {
            address: facts.body as u64,
            header: facts.header as u64,
            former_name: if facts.name.is_none() { facts.stored_name } else { None },
            name: facts.name,
            permanent: facts.flags & nt::flags::PERMANENT != 0,
            allow_multiple: field!(body, CALLBACK_OBJECT, AllowMultipleCallbacks).get() != 0,
            pointer_count: facts.pointer_count - 1,
            handle_count: facts.handle_count,
            flags: facts.flags,
            info_mask: facts.info_mask,
            security_descriptor: (facts.security_descriptor & !0xF) as u64,
            // SAFETY: the caller's promise.
            listeners: unsafe { self.listeners_of(object) },
        }
    }

    /// # Safety
    ///
    /// `object` is a live callback object.
    pub(crate) unsafe fn listeners_of(&self, object: *mut CALLBACK_OBJECT) -> Vec<ListenerSnapshot> {
        // SAFETY: the caller's promise.
        let object = unsafe { Live::new(object) };
        let head: Live<LIST_ENTRY> = field!(object, CALLBACK_OBJECT, RegisteredCallbacks);
        let lock = field!(object, CALLBACK_OBJECT, Lock);
        let mut listeners = Vec::new();
        let old = self.ke_acquire(lock);
        let mut node = head;
        while let Some(next) = self.ke_checked(list::next(head, node), registration::LIST) {
            node = next;
            // SAFETY: only registrations are on this list, and the lock is held.
            let live = unsafe { Live::<CALLBACK_REGISTRATION>::new(node.ptr().cast()) };
            let value = live.get();
            let routine = Routine(value.CallbackFunction.addr());
            listeners.push(ListenerSnapshot {
                registration: live.addr() as u64,
                routine: routine.0 as u64,
                routine_name: self.kernel_routine_at(routine).map(|known| known.symbol().into()),
                context: value.CallbackContext.addr() as u64,
                // SAFETY: on the list, and the lock is held.
                busy: unsafe { self.in_flight(live.ptr()) },
                waiting: value.UnregisterWaiting != 0,
            });
        }
        self.ke_release(lock, old);
        listeners
    }
}
