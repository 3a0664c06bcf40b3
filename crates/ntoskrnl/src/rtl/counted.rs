//! A counted string in guest memory, narrow or wide: `STRING` and `UNICODE_STRING` have one layout.

use core::marker::PhantomData;

use nt::{STRING, UNICODE_STRING};

use crate::field;
use crate::guest::{Guest, GuestSlice, Unit};
use crate::kernel::Kernel;

/// A unit that has a case.
pub(crate) trait Cased: Unit + Ord {
    /// Returns the upper-case form, as the kernel's tables have it.
    fn upper(self) -> Self;
    /// Returns the lower-case form.
    fn lower(self) -> Self;
}

impl Cased for u8 {
    fn upper(self) -> Self {
        crate::format::encode(nt::hash::upcase(crate::format::decode(self)))
    }

    fn lower(self) -> Self {
        crate::format::encode(crate::format::decode(self).lower())
    }
}

impl Cased for u16 {
    fn upper(self) -> Self {
        nt::hash::upcase(self)
    }

    fn lower(self) -> Self {
        let mut lower = char::from_u32(u32::from(self)).into_iter().flat_map(char::to_lowercase);
        match (lower.next().map(u32::from), lower.next()) {
            // One unit stays one unit, and the way back must lead home: the tables are inverse where both exist.
            (Some(one), None) => {
                u16::try_from(one).ok().filter(|one| one.upper() == self.upper()).unwrap_or(self)
            }
            _ => self,
        }
    }
}

/// View of a counted string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted<U>(Guest<UNICODE_STRING>, PhantomData<U>);

impl Counted<u16> {
    pub(crate) fn wide(string: Guest<UNICODE_STRING>) -> Self {
        Self(string, PhantomData)
    }
}

impl Counted<u8> {
    pub(crate) fn narrow(k: &Kernel, string: Guest<STRING>) -> Self {
        Self(Guest::new(k, string.address()), PhantomData)
    }
}

impl<U: Unit> Counted<U> {
    /// Returns the bytes in use.
    pub(crate) fn length(self) -> usize {
        usize::from(field!(self.0, UNICODE_STRING, Length).read())
    }

    /// Returns the bytes allocated.
    pub(crate) fn maximum(self) -> usize {
        usize::from(field!(self.0, UNICODE_STRING, MaximumLength).read())
    }

    /// Returns the address of the first unit.
    pub(crate) fn buffer(self) -> u64 {
        field!(self.0, UNICODE_STRING, Buffer).read() as u64
    }

    /// Returns the text.
    pub(crate) fn text(self, k: &Kernel) -> Vec<U> {
        GuestSlice::new(k, self.buffer(), self.length() / size_of::<U>()).to_vec()
    }

    /// Sets all three fields.
    pub(crate) fn set(self, length: usize, maximum: usize, buffer: u64) {
        self.set_length(length);
        field!(self.0, UNICODE_STRING, MaximumLength).write(maximum as u16);
        field!(self.0, UNICODE_STRING, Buffer).write(core::ptr::with_exposed_provenance_mut(buffer as usize));
    }

    /// Sets the number of bytes in use.
    pub(crate) fn set_length(self, length: usize) {
        field!(self.0, UNICODE_STRING, Length).write(length as u16);
    }

    /// Writes `text` at byte `offset` of the buffer and makes it the end of the string; a terminator follows where there
    /// is room. The caller has checked that the text fits.
    pub(crate) fn put(self, k: &Kernel, offset: usize, text: &[U]) {
        let unit = size_of::<U>();
        let end = offset + size_of_val(text);
        let terminated = end + unit <= self.maximum();
        let room =
            GuestSlice::<U>::new(k, self.buffer() + offset as u64, text.len() + usize::from(terminated));
        room.fill_from(text);
        if terminated {
            room.at(text.len()).write(U::NUL);
        }
        self.set_length(end);
    }
}

/// Compares two texts unit by unit, and by length where one begins with the other: negative, zero or positive.
///
/// The difference of lengths counts bytes, as in NT.
pub(crate) fn compare<U: Cased>(left: &[U], right: &[U], insensitive: bool) -> i32 {
    for (left, right) in left.iter().zip(right) {
        let (left, right) = if insensitive { (left.upper(), right.upper()) } else { (*left, *right) };
        if left != right {
            let (left, right): (u16, u16) = (left.into(), right.into());
            return i32::from(left) - i32::from(right);
        }
    }
    (left.len() as i32 - right.len() as i32) * size_of::<U>() as i32
}
