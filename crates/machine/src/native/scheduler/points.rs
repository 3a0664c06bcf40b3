//! Scheduling points: where the clock may interrupt, and where somebody else may go on.

use record::Turn;

use super::super::fiber::State;
use super::super::giant;
use super::super::policy::Tick;
use super::Scheduler;
use super::place::candidates;

/// Virtual time of one scheduling point, in units of 100 ns.
const POINT: i64 = 1;

/// Points after which the next processor goes on, in turn.
pub(super) const SLICE: u32 = 8;

impl Scheduler {
    /// Counts the virtual time of an export call.
    pub(crate) fn tick(&self) {
        self.pass(POINT);
    }

    /// A point where the clock could interrupt the running thread, while the first timer is due at `first_due`. Returns whether
    /// it does, and lets the time pass that this takes. In turn it does where `in_turn`.
    pub(crate) fn clock(&self, in_turn: bool, first_due: Option<i64>) -> bool {
        let now = self.now();
        // Exact, and not `earliest`: how a run came here must not decide which points are counted.
        let (mut sleeps, mut next) = (false, first_due);
        for fiber in &*self.fibers.borrow() {
            if let State::Parked(Some(deadline)) = fiber.state.get() {
                sleeps = true;
                if deadline > now && next.is_none_or(|next| deadline < next) {
                    next = Some(deadline);
                }
            }
        }
        if !sleeps && next.is_none() {
            return in_turn;
        }
        let Some(fiber) = self.lane().current.borrow().clone() else { return in_turn };
        let running = Turn::Thread { id: fiber.id, processor: fiber.processor.get() };
        let ahead = next.map(|next| (next - now).max(0));
        match self.policy.clock(running, in_turn, ahead) {
            Tick::None => false,
            Tick::Due => true,
            Tick::Next => {
                self.pass(ahead.unwrap_or(0));
                true
            }
        }
    }

    /// A scheduling point: interrupts the thread, or lets another processor go on, where the policy says so.
    pub(crate) fn point(&self) {
        let Some(fiber) = self.lane().current.borrow().clone() else { return };
        self.move_away(&fiber);
        if giant::is_on() {
            self.ring_spinners();
            return giant::pass();
        }
        if !self.are_others() {
            return;
        }
        let here = fiber.processor.get();
        self.slice.set(self.slice.get() + 1);
        let rotates = self.slice.get() >= SLICE
            && self.count > 1
            && self.places(false).first().is_some_and(|first| first.processor != here);
        let turn = Turn::Thread { id: fiber.id, processor: here };
        let chosen = self.policy.point((turn, &fiber.priority), rotates, || candidates(&self.places(false)));
        let Some(place) = chosen.and_then(|chosen| self.places(false).into_iter().nth(chosen)) else {
            return;
        };
        let leaves = place.processor == here;
        *self.next.borrow_mut() = Some(place);
        if leaves {
            self.wait_turn(&fiber);
        } else {
            self.suspend(&fiber);
        }
    }
}
