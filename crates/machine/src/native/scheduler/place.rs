//! Who could run, and where.

use std::rc::Rc;

use nt::Irql;
use record::Turn;

use super::super::fiber::Fiber;
use super::super::policy::Candidate;
use super::super::processor;
use super::Scheduler;

/// A fiber, and the processor it has or would get.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) fiber: Rc<Fiber>,
    pub(super) processor: u8,
}

impl Scheduler {
    pub(super) fn running(&self, processor: u8) -> Option<Rc<Fiber>> {
        self.processors.borrow()[usize::from(processor)].clone()
    }

    /// Returns the IRQL that `processor` runs at.
    pub(super) fn irql(&self, processor: u8) -> Irql {
        if processor == processor::number() && self.lane().current.borrow().is_some() {
            return processor::irql();
        }
        self.running(processor).map_or(Irql::PASSIVE, |fiber| fiber.irql())
    }

    /// Returns who could run, in the order of turn; `in_vain` spinners left out. While nobody runs (`all`) from this processor on; at
    /// a point the others only, from the next processor on.
    pub(super) fn places(&self, all: bool) -> Vec<Place> {
        let (here, count) = (processor::number(), self.processors());
        let mut waiting: Vec<Rc<Fiber>> = self.ready.borrow().iter().cloned().collect();
        waiting.extend(self.due());
        waiting.retain(|fiber| fiber.can_go_on());
        let mut places = Vec::new();
        // A thread that keeps this processor has had its turn.
        let first = u8::from(!all || self.running(here).is_some());
        let last = if all { first + count } else { count };
        for processor in (first..last).map(|offset| (here + offset) % count) {
            match self.running(processor) {
                Some(fiber) if fiber.can_go_on() => places.push(Place { fiber, processor }),
                Some(_) => {}
                None => {
                    let next = waiting.iter().position(|fiber| may_have(fiber, processor));
                    places.extend(next.map(|index| Place { fiber: waiting.remove(index), processor }));
                }
            }
        }
        // Who is left could have an idle processor instead of another thread, or one whose thread can be interrupted.
        let around = (0..count).map(|offset| (here + offset) % count);
        let idle =
            around.clone().filter(|number| (all || *number != here) && self.running(*number).is_none());
        let below = around.filter(|number| self.irql(*number) < Irql::DISPATCH);
        let free: Vec<u8> = idle.chain(below).collect();
        places.extend(waiting.into_iter().filter_map(|fiber| {
            let processor = free.iter().copied().find(|number| may_have(&fiber, *number))?;
            Some(Place { fiber, processor })
        }));
        places
    }
}

/// Returns whether `fiber` may run on `processor`.
pub(super) fn may_have(fiber: &Rc<Fiber>, processor: u8) -> bool {
    fiber.affinity.get().is_none_or(|set| set >> processor & 1 != 0)
}

/// What the policy is told of threads.
pub(super) fn candidates(places: &[Place]) -> Vec<Candidate> {
    let candidate = |place: &Place| Candidate {
        turn: Turn::Thread { id: place.fiber.id, processor: place.processor },
        priority: place.fiber.priority.get(),
    };
    places.iter().map(candidate).collect()
}
