//! Where images are and were, for trap handlers: a table of atomics that can be read at any moment.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use image::FunctionTable;

/// Images a run may load. Each load takes an entry for good, because ranges are never reused.
pub(crate) const MOST: usize = 512;

struct Entry {
    base: AtomicU64,
    size: AtomicU64,
    loaded: AtomicBool,
    functions: AtomicPtr<FunctionTable<'static>>,
}

static TABLE: [Entry; MOST] = [const {
    Entry {
        base: AtomicU64::new(0),
        size: AtomicU64::new(0),
        loaded: AtomicBool::new(false),
        functions: AtomicPtr::new(std::ptr::null_mut()),
    }
}; MOST];
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// An image's range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) loaded: bool,
    /// How to unwind its functions, once that is known.
    pub(crate) functions: Option<&'static FunctionTable<'static>>,
}

/// Enters an image. `None`: no more can be loaded in this run.
pub(crate) fn enter(base: u64, size: u64) -> Option<()> {
    let index = COUNT.load(Ordering::Relaxed);
    let entry = TABLE.get(index)?;
    entry.base.store(base, Ordering::Relaxed);
    entry.size.store(size, Ordering::Relaxed);
    entry.loaded.store(true, Ordering::Relaxed);
    // Release: a handler that counts the entry sees its fields.
    COUNT.store(index + 1, Ordering::Release);
    Some(())
}

/// Keeps how to unwind the functions of the image at `base`. The table is kept after the image left, so that whoever is
/// called late can be told.
pub(crate) fn set_functions(base: u64, functions: &'static FunctionTable<'static>) {
    let count = COUNT.load(Ordering::Relaxed);
    if let Some(entry) = TABLE[..count].iter().find(|entry| entry.base.load(Ordering::Relaxed) == base) {
        // Release: whoever finds the table sees what is in it.
        entry.functions.store(std::ptr::from_ref(functions).cast_mut(), Ordering::Release);
    }
}

/// Notes that the image at `base` is gone.
pub(crate) fn leave(base: u64) {
    let count = COUNT.load(Ordering::Relaxed);
    if let Some(entry) = TABLE[..count].iter().find(|entry| entry.base.load(Ordering::Relaxed) == base) {
        entry.loaded.store(false, Ordering::Relaxed);
    }
}

fn functions_of(entry: &Entry) -> Option<&'static FunctionTable<'static>> {
    // Acquire: pairs with `set_functions`.
    let functions = entry.functions.load(Ordering::Acquire);
    // SAFETY: null, or from a shared reference that lives for ever.
    unsafe { functions.as_ref() }
}

/// Returns the image that covers `address`, loaded or not. Callable from a signal handler.
pub(crate) fn find(address: u64) -> Option<Range> {
    // Acquire: pairs with `enter`.
    let count = COUNT.load(Ordering::Acquire).min(MOST);
    TABLE[..count].iter().find_map(|entry| {
        let base = entry.base.load(Ordering::Relaxed);
        let size = entry.size.load(Ordering::Relaxed);
        let inside = address.checked_sub(base).is_some_and(|offset| offset < size);
        inside.then(|| Range {
            base,
            size,
            loaded: entry.loaded.load(Ordering::Relaxed),
            functions: functions_of(entry),
        })
    })
}
