//! `qsort` and `bsearch`: the comparison is driver code.

use crate::export::Address;
use crate::guest::GuestSlice;
use crate::kernel::Kernel;

fn compare(k: &Kernel, routine: Address, left: u64, right: u64) -> i32 {
    // SAFETY: the caller of the export says that the address is a comparison routine with these arguments.
    (unsafe { k.host().call_driver(routine.0, &[left, right]) }) as i32
}

fn swap(k: &Kernel, left: u64, right: u64, width: usize) {
    let (left, right) = (GuestSlice::<u8>::new(k, left, width), GuestSlice::<u8>::new(k, right, width));
    let kept = left.to_vec();
    left.copy_from(right);
    right.fill_from(&kept);
}

/// Sorts an array in place. A heap sort: no memory, and no worst case that a driver could provoke.
pub(crate) fn qsort(k: &Kernel, base: Address, count: usize, width: usize, routine: Address) {
    let at = |index: usize| base.0 + (index * width) as u64;
    let _checked = GuestSlice::<u8>::new(k, base.0, count.saturating_mul(width));
    let sift = |mut root: usize, end: usize| {
        loop {
            let mut child = 2 * root + 1;
            if child >= end {
                return;
            }
            if child + 1 < end && compare(k, routine, at(child), at(child + 1)) < 0 {
                child += 1;
            }
            if compare(k, routine, at(root), at(child)) >= 0 {
                return;
            }
            swap(k, at(root), at(child), width);
            root = child;
        }
    };
    for root in (0..count / 2).rev() {
        sift(root, count);
    }
    for end in (1..count).rev() {
        swap(k, at(0), at(end), width);
        sift(0, end);
    }
}

/// Finds an element of a sorted array.
pub(crate) fn bsearch(
    k: &Kernel,
    key: Address,
    base: Address,
    count: usize,
    width: usize,
    routine: Address,
) -> Address {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        let at = base.0 + (middle * width) as u64;
        match compare(k, routine, key.0, at) {
            0 => return Address(at),
            order if order < 0 => high = middle,
            _ => low = middle + 1,
        }
    }
    Address::NULL
}
