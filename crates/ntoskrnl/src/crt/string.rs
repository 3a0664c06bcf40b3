//! Terminated strings, narrow (`str…`) and wide (`wcs…`): one body for both.

use crate::export::Address;
use crate::guest::{Guest, GuestSlice, Unit, terminated, terminated_within, units};
use crate::kernel::Kernel;

fn fold<U: Unit>(unit: U) -> u16 {
    let unit = unit.into();
    if (0x41..=0x5A).contains(&unit) { unit + 0x20 } else { unit }
}

/// Compares at most `limit` units: -1, 0 or 1.
fn compare<U: Unit>(k: &Kernel, left: Address, right: Address, limit: usize, key: impl Fn(U) -> u16) -> i32 {
    for (left, right) in units::<U>(k, left.0).zip(units::<U>(k, right.0)).take(limit) {
        let (left, right) = (key(left), key(right));
        if left != right {
            return if left < right { -1 } else { 1 };
        }
        if left == 0 {
            break;
        }
    }
    0
}

/// Writes units and a terminator.
fn put<U: Unit>(k: &Kernel, at: u64, text: &[U]) {
    let room = GuestSlice::new(k, at, text.len() + 1);
    room.fill_from(text);
    room.at(text.len()).write(U::NUL);
}

fn end<U: Unit>(k: &Kernel, text: Address) -> u64 {
    text.0 + (terminated::<U>(k, text.0).len() * size_of::<U>()) as u64
}

fn copy_n<U: Unit>(k: &Kernel, destination: Address, source: Address, count: usize) -> Address {
    let text = terminated_within::<U>(k, source.0, count);
    let room = GuestSlice::new(k, destination.0, count);
    room.fill_from(&text);
    for index in text.len()..count {
        room.at(index).write(U::NUL);
    }
    destination
}

/// Where a search ends without the terminator: it counts as part of the string for `strchr`.
fn find<U: Unit>(k: &Kernel, text: Address, wanted: u16, last: bool) -> Address {
    let mut whole: Vec<u16> = terminated::<U>(k, text.0).into_iter().map(Into::into).collect();
    whole.push(0);
    let matches = |unit: &u16| *unit == wanted;
    let at = if last { whole.iter().rposition(matches) } else { whole.iter().position(matches) };
    at.map_or(Address::NULL, |at| Address(text.0 + (at * size_of::<U>()) as u64))
}

fn find_text<U: Unit>(k: &Kernel, text: Address, wanted: Address) -> Address {
    let (whole, wanted) = (terminated::<U>(k, text.0), terminated::<U>(k, wanted.0));
    let at = if wanted.is_empty() {
        Some(0)
    } else {
        whole.windows(wanted.len()).position(|window| window == wanted)
    };
    at.map_or(Address::NULL, |at| Address(text.0 + (at * size_of::<U>()) as u64))
}

/// Counts leading units that are in `set`, or that are not.
fn span<U: Unit>(k: &Kernel, text: Address, set: Address, inside: bool) -> usize {
    let set = terminated::<U>(k, set.0);
    terminated::<U>(k, text.0).iter().take_while(|unit| set.contains(unit) == inside).count()
}

macro_rules! family {
    (
        $unit:ty, $character:ty;
        $len:ident $nlen:ident $cmp:ident $ncmp:ident $icmp:ident $nicmp:ident $cpy:ident $ncpy:ident $cat:ident $ncat:ident
        $chr:ident $rchr:ident $str:ident $spn:ident $cspn:ident $upr:ident $lwr:ident
    ) => {
        /// Returns the number of units before the terminator.
        pub(crate) fn $len(k: &Kernel, text: Address) -> usize {
            terminated::<$unit>(k, text.0).len()
        }

        /// Returns the number of units before the terminator, looking at no more than `count`.
        pub(crate) fn $nlen(k: &Kernel, text: Address, count: usize) -> usize {
            if text == Address::NULL { 0 } else { terminated_within::<$unit>(k, text.0, count).len() }
        }

        /// Orders two strings.
        pub(crate) fn $cmp(k: &Kernel, left: Address, right: Address) -> i32 {
            compare::<$unit>(k, left, right, usize::MAX, Into::into)
        }

        /// Orders the first `count` units.
        pub(crate) fn $ncmp(k: &Kernel, left: Address, right: Address, count: usize) -> i32 {
            compare::<$unit>(k, left, right, count, Into::into)
        }

        /// Orders two strings without regard to case.
        pub(crate) fn $icmp(k: &Kernel, left: Address, right: Address) -> i32 {
            compare::<$unit>(k, left, right, usize::MAX, fold)
        }

        /// Orders the first `count` units without regard to case.
        pub(crate) fn $nicmp(k: &Kernel, left: Address, right: Address, count: usize) -> i32 {
            compare::<$unit>(k, left, right, count, fold)
        }

        /// Copies a string.
        pub(crate) fn $cpy(k: &Kernel, destination: Address, source: Address) -> Address {
            put(k, destination.0, &terminated::<$unit>(k, source.0));
            destination
        }

        /// Copies at most `count` units and fills the rest with zeros. No terminator where the source is as long.
        pub(crate) fn $ncpy(k: &Kernel, destination: Address, source: Address, count: usize) -> Address {
            copy_n::<$unit>(k, destination, source, count)
        }

        /// Appends a string.
        pub(crate) fn $cat(k: &Kernel, destination: Address, source: Address) -> Address {
            let text = terminated::<$unit>(k, source.0);
            put(k, end::<$unit>(k, destination), &text);
            destination
        }

        /// Appends at most `count` units and a terminator.
        pub(crate) fn $ncat(k: &Kernel, destination: Address, source: Address, count: usize) -> Address {
            let text = terminated_within::<$unit>(k, source.0, count);
            put(k, end::<$unit>(k, destination), &text);
            destination
        }

        /// Finds the first occurrence of a unit; the terminator counts.
        pub(crate) fn $chr(k: &Kernel, text: Address, wanted: $character) -> Address {
            find::<$unit>(k, text, wanted as $unit as u16, false)
        }

        /// Finds the last occurrence of a unit; the terminator counts.
        pub(crate) fn $rchr(k: &Kernel, text: Address, wanted: $character) -> Address {
            find::<$unit>(k, text, wanted as $unit as u16, true)
        }

        /// Finds a string in a string.
        pub(crate) fn $str(k: &Kernel, text: Address, wanted: Address) -> Address {
            find_text::<$unit>(k, text, wanted)
        }

        /// Counts the leading units that are in a set.
        pub(crate) fn $spn(k: &Kernel, text: Address, set: Address) -> usize {
            span::<$unit>(k, text, set, true)
        }

        /// Counts the leading units that are not in a set.
        pub(crate) fn $cspn(k: &Kernel, text: Address, set: Address) -> usize {
            span::<$unit>(k, text, set, false)
        }

        /// Makes the letters of a string upper case.
        pub(crate) fn $upr(k: &Kernel, text: Address) -> Address {
            let changed = terminated::<$unit>(k, text.0).into_iter();
            let changed: Vec<_> =
                changed.map(|unit| if (0x61..=0x7A).contains(&unit) { unit - 0x20 } else { unit }).collect();
            GuestSlice::new(k, text.0, changed.len()).fill_from(&changed);
            text
        }

        /// Makes the letters of a string lower case.
        pub(crate) fn $lwr(k: &Kernel, text: Address) -> Address {
            let changed = terminated::<$unit>(k, text.0).into_iter();
            let changed: Vec<_> =
                changed.map(|unit| if (0x41..=0x5A).contains(&unit) { unit + 0x20 } else { unit }).collect();
            GuestSlice::new(k, text.0, changed.len()).fill_from(&changed);
            text
        }
    };
}

family! {
    u8, i32;
    strlen strnlen strcmp strncmp _stricmp _strnicmp strcpy strncpy strcat strncat
    strchr strrchr strstr strspn strcspn _strupr _strlwr
}

family! {
    u16, u16;
    wcslen wcsnlen wcscmp wcsncmp _wcsicmp _wcsnicmp wcscpy wcsncpy wcscat wcsncat
    wcschr wcsrchr wcsstr wcsspn wcscspn _wcsupr _wcslwr
}

/// Reverses a string in place.
pub(crate) fn _strrev(k: &Kernel, text: Address) -> Address {
    let mut bytes = terminated::<u8>(k, text.0);
    bytes.reverse();
    GuestSlice::new(k, text.0, bytes.len()).fill_from(&bytes);
    text
}

/// Fills a string up to its terminator.
pub(crate) fn _strset(k: &Kernel, text: Address, value: i32) -> Address {
    let length = terminated::<u8>(k, text.0).len();
    GuestSlice::<u8>::new(k, text.0, length).fill(value as u8);
    text
}

/// Converts a narrow string of ASCII; the result counts units without the terminator.
pub(crate) fn mbstowcs(k: &Kernel, destination: Option<Guest<u16>>, source: Address, count: usize) -> usize {
    let text: Vec<u16> = terminated::<u8>(k, source.0).into_iter().map(crate::format::decode).collect();
    let Some(destination) = destination else { return text.len() };
    let kept = text.len().min(count);
    GuestSlice::new(k, destination.address(), kept).fill_from(&text[..kept]);
    if kept < count {
        Guest::new(k, destination.address() + kept as u64 * 2).write(0u16);
    }
    kept
}

/// Converts a wide string to the code page; the result counts bytes without the terminator.
pub(crate) fn wcstombs(k: &Kernel, destination: Option<Guest<u8>>, source: Address, count: usize) -> usize {
    let text: Vec<u8> = terminated::<u16>(k, source.0).into_iter().map(crate::format::encode).collect();
    let Some(destination) = destination else { return text.len() };
    let kept = text.len().min(count);
    GuestSlice::new(k, destination.address(), kept).fill_from(&text[..kept]);
    if kept < count {
        Guest::new(k, destination.address() + kept as u64).write(0u8);
    }
    kept
}
