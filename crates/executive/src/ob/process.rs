//! Processes as far as objects need them: in whose name they act and which handles they have.
//!
//! `EPROCESS` belongs to the platform; what is kept here is keyed by its address. A process nobody registered is taken for the System
//! process, so that a platform with one process need not bother.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ffi::c_void;
use core::ptr;

use nt::{EPROCESS, HANDLE, KTHREAD};

use crate::executive::Executive;
use crate::platform::{Origin, Platform};
use crate::raw::{Live, field};
use crate::se::Token;

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessKind {
    /// The System process. Its handle table is the kernel's.
    System,
    /// The Idle process.
    Idle,
    /// Any other. Objects created in it carry a quota header.
    Ordinary,
}

/// One handle.
#[derive(Clone, Copy)]
pub(super) struct HandleEntry {
    pub(super) object: usize,
    pub(super) access: u32,
    pub(super) attributes: u32,
}

/// A handle table. Windows walks a tree of pages under the tag `Obtb`; nobody outside looks at it, so it is an array here.
#[derive(Default)]
pub(super) struct HandleTable {
    /// By index, which begins at 1.
    entries: Vec<Option<HandleEntry>>,
    /// Indexes to use again, the lowest first.
    free: BinaryHeap<Reverse<u32>>,
    /// Who opened those that driver code did.
    origins: BTreeMap<u32, Origin>,
}

/// Highest number of handles in a table, that of Windows.
const MOST_HANDLES: u32 = 1 << 24;

impl HandleTable {
    /// Adds an entry and returns its index, 1 or more; `None` where the table is full.
    pub(super) fn insert(&mut self, entry: HandleEntry, origin: Origin) -> Option<u32> {
        let index = self.place(entry)?;
        if origin.caller != 0 {
            self.origins.insert(index, origin);
        }
        Some(index)
    }

    fn place(&mut self, entry: HandleEntry) -> Option<u32> {
        if let Some(Reverse(index)) = self.free.pop() {
            *self.entries.get_mut(index as usize - 1)? = Some(entry);
            return Some(index);
        }
        let index = u32::try_from(self.entries.len()).ok().filter(|&count| count < MOST_HANDLES)? + 1;
        self.entries.push(Some(entry));
        Some(index)
    }

    pub(super) fn get(&self, index: u32) -> Option<HandleEntry> {
        *self.entries.get((index as usize).checked_sub(1)?)?
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<HandleEntry> {
        let entry = self.entries.get_mut((index as usize).checked_sub(1)?)?.take()?;
        self.free.push(Reverse(index));
        self.origins.remove(&index);
        Some(entry)
    }

    /// Returns the handles that driver code opened: index, object, and who did.
    fn of_drivers(&self) -> impl Iterator<Item = (u32, usize, Origin)> {
        let entry = |(index, origin): (&u32, &Origin)| Some((*index, self.get(*index)?.object, *origin));
        self.origins.iter().filter_map(entry)
    }

    fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

struct Process {
    kind: ProcessKind,
    token: Arc<Token>,
    id: usize,
    handles: HandleTable,
}

/// Every process that was registered, and the kernel's handles.
pub(crate) struct Processes {
    kernel: HandleTable,
    system_token: Arc<Token>,
    known: BTreeMap<usize, Process>,
}

impl Default for Processes {
    fn default() -> Self {
        Self {
            kernel: HandleTable::default(),
            system_token: Arc::new(Token::system()),
            known: BTreeMap::new(),
        }
    }
}

impl Processes {
    /// Returns the handle table that a handle of `process` is in.
    pub(super) fn table(&mut self, process: usize, kernel: bool) -> &mut HandleTable {
        match self.known.get_mut(&process) {
            Some(process) if !kernel && process.kind == ProcessKind::Ordinary => &mut process.handles,
            _ => &mut self.kernel,
        }
    }

    /// Returns the handles that driver code opened, the kernel's first: whether it is one of those, index, object, and who did.
    pub(super) fn of_drivers(&self) -> impl Iterator<Item = (bool, u32, usize, Origin)> {
        let kernel = self.kernel.of_drivers().map(|(index, object, origin)| (true, index, object, origin));
        let others = self.known.values().flat_map(|process| process.handles.of_drivers());
        kernel.chain(others.map(|(index, object, origin)| (false, index, object, origin)))
    }

    pub(super) fn handle_total(&self) -> usize {
        self.kernel.len() + self.known.values().map(|process| process.handles.len()).sum::<usize>()
    }
}

impl<P: Platform> Executive<P> {
    /// Returns the process the current thread is attached to; null where the platform has none.
    pub(crate) fn current_process(&self) -> *mut EPROCESS {
        // SAFETY: the platform keeps the current thread alive.
        let thread: Live<KTHREAD> = unsafe { Live::new(self.platform().current_thread().as_ptr()) };
        field!(thread, KTHREAD, ApcStateProcess).get()
    }

    /// Returns the mode the current thread came from.
    pub fn KeGetPreviousMode(&self) -> u8 {
        // SAFETY: the platform keeps the current thread alive.
        let thread: Live<KTHREAD> = unsafe { Live::new(self.platform().current_thread().as_ptr()) };
        field!(thread, KTHREAD, PreviousMode).get().cast_unsigned()
    }

    /// Makes a process known: what it is, its identifier, and in whose name it acts.
    ///
    /// Registering one again replaces kind and token and keeps its handles.
    pub fn register_process(&self, process: *mut EPROCESS, kind: ProcessKind, id: usize, token: Token) {
        let token = Arc::new(token);
        self.processes().with(|processes| {
            let handles = processes.known.remove(&process.addr()).map(|old| old.handles).unwrap_or_default();
            processes.known.insert(process.addr(), Process { kind, token, id, handles });
        });
    }

    /// Forgets a process and closes its handles.
    pub fn unregister_process(&self, process: *mut EPROCESS) {
        let handles = self
            .processes()
            .with(|processes| processes.known.remove(&process.addr()).map(|process| process.handles.entries));
        for entry in handles.unwrap_or_default().into_iter().flatten() {
            self.close_entry(entry);
        }
    }

    pub(crate) fn process_token(&self, process: *mut EPROCESS) -> Arc<Token> {
        self.processes().with(|processes| {
            let known = processes.known.get(&process.addr());
            Arc::clone(known.map_or(&processes.system_token, |process| &process.token))
        })
    }

    /// Tells whether objects created now are charged to a process: it is neither System nor Idle.
    pub(super) fn current_process_is_charged(&self) -> bool {
        let current = self.current_process().addr();
        self.processes().with(|processes| {
            processes.known.get(&current).is_some_and(|process| process.kind == ProcessKind::Ordinary)
        })
    }

    pub(super) fn current_process_id(&self) -> HANDLE {
        let current = self.current_process().addr();
        let id =
            self.processes().with(|processes| processes.known.get(&current).map_or(0, |process| process.id));
        ptr::without_provenance_mut::<c_void>(id)
    }

    /// Returns the number of open handles in all tables.
    pub fn handle_total(&self) -> usize {
        self.processes().with(|processes| processes.handle_total())
    }
}

#[cfg(test)]
mod tests {
    use nt::Profile;

    use super::*;
    use crate::CallbackOptions;
    use crate::se::Sid;
    use crate::solo::Solo;

    #[test]
    fn the_transient_handle_of_a_creation_is_the_kernels_where_the_version_makes_it_so() {
        for profile in Profile::ALL {
            let nt = Executive::boot(Solo::new(), profile).expect("it boots");
            let process = nt.platform().user_process();
            nt.register_process(process, ProcessKind::Ordinary, 0x1000, Token::user(&Sid::users()));
            nt.platform().attach(process);
            let options = CallbackOptions::named("\\Callback\\Transient").permanent();
            nt.create_callback(&options).expect("an object");
            // Indexes that were ever in use: one that was freed is used again.
            let used =
                nt.processes().with(|processes| processes.known[&process.addr()].handles.entries.len());
            assert_eq!(used, usize::from(!profile.force_kernel_handle.value), "{}", profile.name);
        }
    }
}
