//! Many host threads in one executive: counts, names and memory must come out right whatever the order.

use core::cell::{Cell, RefCell};
use core::ffi::c_void;
use core::ptr::{self, NonNull};
use std::alloc::{Layout, alloc, alloc_zeroed, dealloc};
use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use std::vec::Vec;

use nt::{
    Irql, KDPC, KSPIN_LOCK, KTHREAD, KernelMode, OBJ_CASE_INSENSITIVE, OBJ_KERNEL_HANDLE, OBJ_OPENIF,
    OBJECT_TYPE, Profile, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
};

use super::super::Procedures;
use super::Attributes;
use crate::{Bugcheck, Deadlock, Executive, Platform, PoolKind, Routine};

/// One processor per host thread.
#[derive(Default)]
struct Threads {
    /// Pool blocks by address.
    blocks: Mutex<BTreeMap<usize, Layout>>,
    data: Mutex<Vec<(usize, Layout)>>,
}

impl Threads {
    /// Returns how many pool blocks there are.
    fn live(&self) -> usize {
        self.blocks.lock().expect("no panic holds it").len()
    }
}

struct Thread(Box<KTHREAD>);

impl Default for Thread {
    fn default() -> Self {
        // SAFETY: plain data; zero is a value.
        Self(Box::new(unsafe { core::mem::zeroed() }))
    }
}

std::thread_local! {
    static IRQL: Cell<Irql> = const { Cell::new(Irql::PASSIVE) };
    static THREAD: RefCell<Thread> = RefCell::default();
}

impl Platform for Threads {
    fn irql(&self) -> Irql {
        IRQL.get()
    }

    fn set_irql(&self, new: Irql) -> Irql {
        IRQL.replace(new)
    }

    fn spin_wait(&self, _: *const KSPIN_LOCK) {
        thread::yield_now();
    }

    fn allocate(&self, _: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        let layout = Layout::from_size_align(bytes, 16).ok()?;
        // SAFETY: never empty.
        let block = NonNull::new(unsafe { alloc(layout) })?;
        self.blocks.lock().expect("no panic holds it").insert(block.as_ptr().expose_provenance(), layout);
        Some(block)
    }

    unsafe fn release(&self, _: PoolKind, block: NonNull<u8>, bytes: usize) {
        let known = self.blocks.lock().expect("no panic holds it").remove(&block.as_ptr().addr());
        let layout = known.filter(|layout| layout.size() == bytes).expect("a block that was allocated so");
        // SAFETY: the caller's promise.
        unsafe { dealloc(block.as_ptr(), layout) };
    }

    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        let layout = Layout::from_size_align(bytes, align).expect("a layout");
        // SAFETY: never empty.
        let at = unsafe { alloc_zeroed(layout) };
        self.data.lock().expect("no panic holds it").push((at.expose_provenance(), layout));
        NonNull::new(at).expect("memory")
    }

    fn current_thread(&self) -> NonNull<KTHREAD> {
        THREAD.with_borrow_mut(|thread| NonNull::from(&mut *thread.0))
    }

    fn park(&self, _: Option<i64>) {
        thread::sleep(Duration::from_millis(1));
    }

    fn unpark(&self, _: NonNull<KTHREAD>) {}

    fn now(&self) -> i64 {
        0
    }

    unsafe fn invoke(&self, _: Routine, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
        panic!("nothing is invoked here");
    }

    unsafe fn invoke_dpc(&self, _: Routine, _: *mut KDPC, _: *mut c_void, _: *mut c_void, _: *mut c_void) {
        panic!("nothing is queued here");
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        panic!("{} {:x?}: {}", check.code, check.parameters, check.reason)
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        panic!("{}", deadlock.reason)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        let data = self.data.get_mut().expect("no panic holds it").drain(..);
        for (at, layout) in data.chain(core::mem::take(self.blocks.get_mut().expect("no panic holds it"))) {
            // SAFETY: allocated so, and nobody uses it any more.
            unsafe { dealloc(ptr::with_exposed_provenance_mut(at), layout) };
        }
    }
}

/// A type's address for other threads.
#[derive(Clone, Copy)]
struct Bell(usize);

impl Bell {
    fn at(self) -> *mut OBJECT_TYPE {
        ptr::with_exposed_provenance_mut(self.0)
    }
}

/// One round as `ExCreateCallback` does it: create or open, reference, close; then look, and let go.
fn round(executive: &Executive<Threads>, bell: Bell, path: &str) {
    let attributes = Attributes::named(path, OBJ_CASE_INSENSITIVE | OBJ_KERNEL_HANDLE | OBJ_OPENIF);
    let (mut object, mut handle) = (ptr::null_mut(), ptr::null_mut());
    // SAFETY: a type, attributes that own what they point to, locals.
    let status = unsafe {
        let none = ptr::null_mut();
        executive.ObCreateObject(
            0,
            bell.at(),
            &raw const attributes.all,
            0,
            none,
            0x38,
            0,
            0,
            &raw mut object,
        )
    };
    assert_eq!(status, STATUS_SUCCESS);
    // SAFETY: created above.
    let status = unsafe { executive.ObInsertObject(object, 1, 0, ptr::null_mut(), &raw mut handle) };
    assert!(status.is_success(), "{status}");
    // SAFETY: locals.
    let status = unsafe {
        let information = ptr::null_mut();
        executive.ObReferenceObjectByHandle(handle, 0, bell.at(), KernelMode, &raw mut object, information)
    };
    assert_eq!(status, STATUS_SUCCESS);
    // SAFETY: referenced.
    let name = unsafe { executive.object_facts(object) }.name;
    assert_eq!(name.as_deref(), Some(path), "an open handle keeps the name");
    assert_eq!(executive.ZwClose(handle), STATUS_SUCCESS);

    // SAFETY: as above; this may find an object or none.
    let status = unsafe {
        let none = ptr::null_mut();
        executive.ObOpenObjectByName(
            &raw const attributes.all,
            bell.at(),
            KernelMode,
            0,
            none,
            &raw mut handle,
        )
    };
    if status == STATUS_SUCCESS {
        assert_eq!(executive.ZwClose(handle), STATUS_SUCCESS);
    } else {
        assert_eq!(status, STATUS_OBJECT_NAME_NOT_FOUND);
    }
    // SAFETY: referenced above.
    unsafe { executive.ObMakeTemporaryObject(object) };
    // SAFETY: the reference taken above.
    unsafe { executive.ObfDereferenceObject(object) };
}

#[test]
fn threads_leave_nothing_behind() {
    let executive = Executive::phase0(Threads::default(), Profile::DEFAULT).expect("up");
    let mut initializer = executive.type_initializer();
    initializer.PoolType = executive.nonpaged_pool_type();
    let bell = executive.ObCreateObjectType("Bell", &initializer, Procedures::NONE).expect("a type");
    let bell = Bell(bell.as_ptr().expose_provenance());
    executive.create_directory("\\Dir").expect("created");
    let (blocks, namespace) = (executive.platform().live(), executive.namespace());
    thread::scope(|scope| {
        for index in 0..4 {
            let executive = &executive;
            scope.spawn(move || {
                for step in 0..1000 {
                    // One name for all, and one for each two.
                    let path = if step % 3 == 0 {
                        "\\Dir\\Shared".into()
                    } else {
                        std::format!("\\Dir\\N{}", index % 2)
                    };
                    round(executive, bell, &path);
                }
            });
        }
        // Somebody looks at everything meanwhile.
        scope.spawn(|| (0..200).for_each(|_| assert!(executive.namespace().len() >= namespace.len())));
    });
    assert_eq!(executive.handle_total(), 0);
    assert_eq!(executive.namespace(), namespace);
    assert_eq!(executive.platform().live(), blocks);
    // SAFETY: a type.
    let all = unsafe { bell.at().read() };
    assert_eq!((all.TotalNumberOfObjects, all.TotalNumberOfHandles), (0, 0));
}
