//! Circular doubly linked lists, with the integrity checks of NT's inlined list routines (`wdm.h`,
//! `RtlCheckListEntry` family): both neighbors must point back before a link is changed.

use nt::LIST_ENTRY;

use crate::raw::{Live, field};

/// A list whose links contradict each other. NT ends with `__fastfail(FAST_FAIL_CORRUPT_LIST_ENTRY)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Corrupt {
    /// The node at which it showed.
    pub(crate) at: usize,
    /// Where the link is null: the address near it that NT reads, before any check can fail.
    pub(crate) reads: Option<u64>,
}

impl Corrupt {
    /// Links that do not agree.
    pub(crate) const fn at(at: usize) -> Self {
        Self { at, reads: None }
    }
}

/// Offset of the forward link.
const FLINK: u64 = core::mem::offset_of!(LIST_ENTRY, Flink) as u64;
/// Offset of the backward link.
const BLINK: u64 = core::mem::offset_of!(LIST_ENTRY, Blink) as u64;

/// Follows a link, where it can lead to a node at all. `reads` is the offset at which NT looks at the node first.
fn follow(link: *mut LIST_ENTRY, from: Live<LIST_ENTRY>, reads: u64) -> Result<Live<LIST_ENTRY>, Corrupt> {
    if link.is_null() {
        return Err(Corrupt { at: from.addr(), reads: Some(reads) });
    }
    if !link.is_aligned() {
        return Err(Corrupt::at(from.addr()));
    }
    // SAFETY: lists link live nodes only; that is the invariant whose violation NT detects by its
    // consequences, as here.
    Ok(unsafe { Live::new(link) })
}

/// Makes `head` an empty list.
pub(crate) fn initialize(head: Live<LIST_ENTRY>) {
    head.set(LIST_ENTRY { Flink: head.ptr(), Blink: head.ptr() });
}

/// Tells whether `head` has no nodes. Atomic, because `ExNotifyCallback` looks without the lock.
pub(crate) fn is_empty(head: Live<LIST_ENTRY>) -> bool {
    field!(head, LIST_ENTRY, Flink).atomic_ptr().load(core::sync::atomic::Ordering::Acquire) == head.ptr()
}

/// Returns the node after `node`, or `None` where that is `head`.
pub(crate) fn next(
    head: Live<LIST_ENTRY>,
    node: Live<LIST_ENTRY>,
) -> Result<Option<Live<LIST_ENTRY>>, Corrupt> {
    let next = field!(node, LIST_ENTRY, Flink).get();
    if next == head.ptr() { Ok(None) } else { follow(next, node, FLINK).map(Some) }
}

/// Inserts `node` before `at`: at the tail, where `at` is the head.
pub(crate) fn insert_before(at: Live<LIST_ENTRY>, node: Live<LIST_ENTRY>) -> Result<(), Corrupt> {
    let before = follow(field!(at, LIST_ENTRY, Blink).get(), at, FLINK)?;
    if field!(before, LIST_ENTRY, Flink).get() != at.ptr() {
        return Err(Corrupt::at(at.addr()));
    }
    node.set(LIST_ENTRY { Flink: at.ptr(), Blink: before.ptr() });
    // The forward link is published last and atomically: an unlocked emptiness test may be looking.
    field!(at, LIST_ENTRY, Blink).set(node.ptr());
    field!(before, LIST_ENTRY, Flink).atomic_ptr().store(node.ptr(), core::sync::atomic::Ordering::Release);
    Ok(())
}

/// Checks that both neighbors of `node` point back.
pub(crate) fn check(node: Live<LIST_ENTRY>) -> Result<[Live<LIST_ENTRY>; 2], Corrupt> {
    let links = node.get();
    let after = follow(links.Flink, node, BLINK)?;
    let before = follow(links.Blink, node, FLINK)?;
    if field!(after, LIST_ENTRY, Blink).get() != node.ptr()
        || field!(before, LIST_ENTRY, Flink).get() != node.ptr()
    {
        return Err(Corrupt::at(node.addr()));
    }
    Ok([before, after])
}

/// Takes `node` off its list and tells whether that is empty now. The node's own links stay as they are.
pub(crate) fn remove(node: Live<LIST_ENTRY>) -> Result<bool, Corrupt> {
    let [before, after] = check(node)?;
    field!(after, LIST_ENTRY, Blink).set(before.ptr());
    field!(before, LIST_ENTRY, Flink).atomic_ptr().store(after.ptr(), core::sync::atomic::Ordering::Release);
    Ok(after == before)
}
