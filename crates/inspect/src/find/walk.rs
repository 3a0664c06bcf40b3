//! Doubly linked lists in memory that may be torn or forged.
//!
//! A walk ends at its head, at a bound, at a node seen before, at a link that leaves the kernel, or at a page that is not
//! there; it tells which. Where it does not come back to the head it goes on from the other end, so that one broken link
//! does not hide what lies behind it.

use std::collections::BTreeSet;

use super::shape::BLINK;
use crate::memory::{Memory, MemoryExt as _, Missing};

/// Two neighbors that do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OneWay {
    /// The node that names the other as its next.
    pub(crate) from: u64,
    /// The next.
    pub(crate) to: u64,
    /// What that one names as its previous.
    pub(crate) back: u64,
}

/// How a walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Back at the head.
    Closed,
    /// At a node that was there before and is not the head.
    Circle { at: u64 },
    /// At the bound.
    Bound,
    /// At a link that leads out of the kernel, or to an odd place.
    Astray { at: u64, to: u64 },
    /// At memory that is not there.
    Missing(Missing),
}

impl End {
    /// Says why the walk is not complete; `None` where it is.
    pub(crate) fn why(&self, bound: usize) -> Option<String> {
        Some(match self {
            Self::Closed => return None,
            Self::Circle { at } => {
                format!("the list runs in a circle that does not come back to its head ({at:#x} again)")
            }
            Self::Bound => format!("the list has more than {bound} entries; the rest was not followed"),
            Self::Astray { at, to } => {
                format!("the link at {at:#x} leads to {to:#x}, which is no place for an entry")
            }
            Self::Missing(missing) => format!("an entry is missing, {missing}"),
        })
    }

    /// Tells whether the list itself is wrong, rather than not in the image or too long.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Circle { .. } | Self::Astray { .. })
    }
}

/// A list, followed.
#[derive(Clone, Debug)]
pub(crate) struct Walk {
    /// The nodes without the head: in order, then those that only the way back shows.
    pub(crate) nodes: Vec<u64>,
    pub(crate) one_way: Vec<OneWay>,
    pub(crate) end: End,
}

/// The most disagreements that are kept.
const MAX_ONE_WAY: usize = 64;

/// Follows a list from its head.
pub(crate) fn walk(memory: &dyn Memory, head: u64, bound: usize) -> Walk {
    let mut seen = BTreeSet::from([head]);
    let mut walk = Walk { nodes: Vec::new(), one_way: Vec::new(), end: End::Closed };
    walk.end = follow(memory, head, 0, bound, &mut seen, &mut walk.nodes);
    if matches!(walk.end, End::Circle { .. } | End::Astray { .. } | End::Missing(_)) {
        let mut behind = Vec::new();
        follow(memory, head, BLINK, bound.saturating_sub(walk.nodes.len()), &mut seen, &mut behind);
        walk.nodes.extend(behind.into_iter().rev());
    }
    let mut previous = head;
    for &node in walk.nodes.iter().chain([&head]) {
        let named = memory.u64(previous) == Ok(node);
        if named
            && let Ok(back) = memory.u64(node.wrapping_add(BLINK))
            && back != previous
            && walk.one_way.len() < MAX_ONE_WAY
        {
            walk.one_way.push(OneWay { from: previous, to: node, back });
        }
        previous = node;
    }
    walk
}

/// Follows the links at `offset` until the head comes again.
fn follow(
    memory: &dyn Memory,
    head: u64,
    offset: u64,
    bound: usize,
    seen: &mut BTreeSet<u64>,
    nodes: &mut Vec<u64>,
) -> End {
    let mut at = head;
    loop {
        let next = match memory.u64(at.wrapping_add(offset)) {
            Ok(next) => next,
            Err(missing) => return End::Missing(missing),
        };
        if next == head {
            return End::Closed;
        }
        if !memory.kernel_range().contains(next) || !next.is_multiple_of(8) {
            return End::Astray { at: at.wrapping_add(offset), to: next };
        }
        if let Err(missing) = memory.array::<16>(next) {
            return End::Missing(missing);
        }
        if nodes.len() >= bound {
            return End::Bound;
        }
        if !seen.insert(next) {
            return End::Circle { at: next };
        }
        nodes.push(next);
        at = next;
    }
}
