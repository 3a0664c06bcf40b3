//! The global list, from its head, or from any object on it when nobody tells where the head is.
//!
//! Every node of the ring is embedded in a callback object, except one: the head, which lies in the kernel's data. So the node
//! without a signature is `ExpCallbackListHead`, and the ring itself says where that is.

use std::collections::BTreeSet;

use nt::CALLBACK_SIGNATURE;

use super::shape::BLINK;
use super::walk::{End, Walk, walk};
use crate::memory::{Memory, MemoryExt as _};

/// The most objects on the list that are followed.
pub(crate) const MAX_OBJECTS: usize = 65_536;

/// The most steps of the search for the head: chains that share their ends would otherwise be followed again and again.
const MAX_STEPS: usize = 4 * MAX_OBJECTS;

/// The list, found.
#[derive(Clone, Debug)]
pub(crate) struct Ring {
    pub(crate) head: u64,
    pub(crate) how: String,
    /// Bodies of the objects on it, in order.
    pub(crate) bodies: Vec<u64>,
    /// Nodes that are no objects.
    pub(crate) strangers: Vec<u64>,
    pub(crate) walk: Walk,
}

/// Follows the list from a known head.
pub(crate) fn from_head(memory: &dyn Memory, head: u64, list: u64, how: &str) -> Ring {
    let walk = walk(memory, head, MAX_OBJECTS);
    let (mut bodies, mut strangers) = (Vec::new(), Vec::new());
    for &node in &walk.nodes {
        if is_object(memory, node, list) {
            bodies.push(node.wrapping_sub(list))
        } else {
            strangers.push(node)
        }
    }
    Ring { head, how: how.to_owned(), bodies, strangers, walk }
}

/// Tells whether a list begins at `head`: one of its neighbors, at least, names it back.
pub(crate) fn is_head(memory: &dyn Memory, head: u64) -> bool {
    let next = memory.u64(head).and_then(|next| memory.u64(next.wrapping_add(BLINK)));
    let back = memory.u64(head.wrapping_add(BLINK)).and_then(|back| memory.u64(back));
    next == Ok(head) || back == Ok(head)
}

fn is_object(memory: &dyn Memory, node: u64, list: u64) -> bool {
    memory.u32(node.wrapping_sub(list)) == Ok(CALLBACK_SIGNATURE)
}

/// Finds the head from objects that should be on the list, `in_kernel` telling what lies in the kernel's image.
///
/// Several heads are possible only where something is wrong; the one that most objects lead to wins.
pub(crate) fn recover(
    memory: &dyn Memory,
    seeds: &[u64],
    list: u64,
    in_kernel: &dyn Fn(u64) -> bool,
) -> Option<Ring> {
    let mut visited: BTreeSet<u64> = BTreeSet::new();
    let mut left = MAX_STEPS;
    let mut best: Option<Ring> = None;
    for &seed in seeds {
        let node = seed.wrapping_add(list);
        if visited.contains(&node) {
            continue;
        }
        if left == 0 {
            break;
        }
        let around = walk(memory, node, MAX_OBJECTS.min(left));
        left = left.saturating_sub(around.nodes.len() + 1);
        visited.insert(node);
        visited.extend(&around.nodes);
        let heads: Vec<u64> = around
            .nodes
            .iter()
            .copied()
            .filter(|node| !is_object(memory, *node, list) && in_kernel(*node))
            .collect();
        let [head] = heads.as_slice() else { continue };
        let ring = from_head(
            memory,
            *head,
            list,
            "recovered from the ring: the node without a signature, in the kernel image",
        );
        if best.as_ref().is_none_or(|best| ring.bodies.len() > best.bodies.len()) {
            best = Some(ring);
        }
        if best
            .as_ref()
            .is_some_and(|best| best.walk.end == End::Closed && best.bodies.len() * 2 > seeds.len())
        {
            break;
        }
    }
    best
}
