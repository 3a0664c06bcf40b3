//! Call stacks that are kept: where something was made that may outlive its maker.
//!
//! A driver makes most things in a few places, so each stack is kept once and has a number.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::stack::{self, From};

/// The stacks that were kept.
#[derive(Debug, Default)]
pub(crate) struct Stacks(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    numbers: BTreeMap<Box<[u64]>, u32>,
    /// By number, from 1.
    stacks: Vec<Box<[u64]>>,
}

impl Stacks {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics while it is held, and a panic in the kernel process ends it anyway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the call stack of the export call that is being served. Returns its number.
    pub(crate) fn keep(&self) -> u32 {
        let stack = stack::current(From::Driver);
        self.number(stack.addresses())
    }

    fn number(&self, stack: &[u64]) -> u32 {
        let mut kept = self.kept();
        if let Some(number) = kept.numbers.get(stack) {
            return *number;
        }
        kept.stacks.push(stack.into());
        let Ok(number) = u32::try_from(kept.stacks.len()) else { return 0 };
        kept.numbers.insert(stack.into(), number);
        number
    }

    /// Returns the stack with a number; nothing for one that there is not.
    pub(crate) fn get(&self, number: u32) -> Vec<u64> {
        let index = (number as usize).wrapping_sub(1);
        self.kept().stacks.get(index).map(|stack| stack.to_vec()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_stack_is_kept_once() {
        let stacks = Stacks::default();
        let numbers = [stacks.number(&[1, 2]), stacks.number(&[1]), stacks.number(&[1, 2])];
        assert_eq!(numbers, [1, 2, 1]);
        assert_eq!((stacks.get(1), stacks.get(2)), (vec![1, 2], vec![1]));
        assert!(stacks.get(0).is_empty() && stacks.get(3).is_empty());
    }
}
