//! Names: upper case and the hash that picks a directory's bucket.
//!
//! The hash is always taken of the upper-cased component, so one bucket holds every spelling of a name, whether or not
//! a lookup regards case. Two variants exist, both known from decompilations of x64 kernels: one character at a time,
//! and (seen from Windows 10 20H1 on) four at a time. They agree only for names shorter than four characters.
//!
//! Both are easy to collide on purpose, so a table that must not degenerate takes [`keyed`].
//!
//! Upper case beyond ASCII is a table of the national language support on Windows. Here it is Unicode's simple
//! one-to-one mapping within the basic plane ([`char::to_uppercase`]): characters whose upper case is several
//! characters (`ß`), surrogates and anything else keep their value. Windows' table differs in a handful of characters,
//! mostly letters that Unicode added later than the table.

use crate::ob::NUMBER_HASH_BUCKETS;

/// How the hash of a name is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameHash {
    /// One character at a time.
    PerChar,
    /// Four characters at a time, the rest one at a time.
    Fast4,
}

impl NameHash {
    /// Computes the hash of one path component.
    ///
    /// ```
    /// # use ringbell_nt as nt;
    /// use nt::hash::NameHash;
    /// let name: Vec<u16> = "Callback".encode_utf16().collect();
    /// assert_eq!(NameHash::PerChar.hash(&name), 0x0009_39C4);
    /// assert_eq!(NameHash::Fast4.hash(&name), 0x0279_8279);
    /// ```
    #[must_use]
    pub fn hash(self, name: &[u16]) -> u32 {
        match self {
            Self::PerChar => per_char(name),
            Self::Fast4 => fast4(name),
        }
    }

    /// Computes the bucket of one path component.
    #[must_use]
    pub fn bucket(self, name: &[u16]) -> usize {
        bucket(self.hash(name))
    }
}

/// Picks the bucket of a hash.
#[must_use]
pub const fn bucket(hash: u32) -> usize {
    hash as usize % NUMBER_HASH_BUCKETS
}

/// Gives the upper case of an ASCII unit; others keep their value. Usable in constants.
#[must_use]
pub const fn upcase_ascii(unit: u16) -> u16 {
    if unit >= b'a' as u16 && unit <= b'z' as u16 { unit - 0x20 } else { unit }
}

/// Gives the upper case of a UTF-16 unit, as far as the [module](self) describes.
#[must_use]
#[inline]
pub fn upcase(unit: u16) -> u16 {
    if unit <= b'z'.into() { upcase_ascii(unit) } else { upcase_other(unit) }
}

fn upcase_other(unit: u16) -> u16 {
    let Some(character) = char::from_u32(unit.into()) else { return unit };
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) => u16::try_from(u32::from(single)).unwrap_or(unit),
        _ => unit,
    }
}

/// Compares two names, with or without regard to case.
#[must_use]
pub fn names_equal(left: &[u16], right: &[u16], case_insensitive: bool) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(&l, &r)| l == r || (case_insensitive && upcase(l) == upcase(r)))
}

/// Adds one upper-cased unit to a hash.
const fn step(hash: u32, upper: u16) -> u32 {
    hash.wrapping_mul(3).wrapping_add(hash >> 1).wrapping_add(upper as u32)
}

/// Computes the hash one character at a time.
#[must_use]
pub fn per_char(name: &[u16]) -> u32 {
    name.iter().fold(0, |hash, &unit| step(hash, upcase(unit)))
}

/// Computes [`per_char`] of an ASCII name in a constant.
///
/// # Panics
///
/// Panics when the name is not ASCII; in a constant that is a compile error.
#[must_use]
pub const fn per_char_ascii(name: &str) -> u32 {
    let bytes = name.as_bytes();
    assert!(bytes.is_ascii(), "only ASCII names hash in constants");
    let mut hash = 0;
    let mut index = 0;
    while index < bytes.len() {
        hash = step(hash, upcase_ascii(bytes[index] as u16));
        index += 1;
    }
    hash
}

/// Adds four units, the first of them lowest, to a 64-bit hash.
const fn step4(hash: u64, quad: u64) -> u64 {
    quad.wrapping_add(hash >> 1).wrapping_add(hash.wrapping_mul(3))
}

/// Clears bit 5 of each of four ASCII units. On letters that is upper case; other characters of `0x20..0x40` and
/// `0x60..0x80` change too, which matters for nothing but the value of the hash.
const ASCII_QUAD_MASK: u64 = 0xFFDF_FFDF_FFDF_FFDF;

/// Folds a 64-bit hash to 32 bits.
const fn fold(hash: u64) -> u32 {
    (hash as u32).wrapping_add((hash >> 32) as u32)
}

/// Computes the hash four characters at a time.
#[must_use]
pub fn fast4(name: &[u16]) -> u32 {
    let (quads, rest) = name.as_chunks::<4>();
    let wide = quads.iter().fold(0, |hash, quad| step4(hash, upcase_quad(*quad)));
    rest.iter().fold(fold(wide), |hash, &unit| step(hash, upcase(unit)))
}

/// The bits that no ASCII unit of four has.
const NO_ASCII_QUAD: u64 = 0xFF80_FF80_FF80_FF80;

#[inline]
fn upcase_quad(quad: [u16; 4]) -> u64 {
    let word = join(quad);
    if word & NO_ASCII_QUAD == 0 { word & ASCII_QUAD_MASK } else { upcase_other_quad(quad) }
}

#[cold]
fn upcase_other_quad(quad: [u16; 4]) -> u64 {
    join(quad.map(upcase))
}

/// Multiplies to 128 bits and folds them to 64.
const fn fold_multiply(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

/// Computes a hash of the upper-cased name that has nothing to do with Windows: 64 bits, and no collisions that could be
/// made without knowing `key`.
///
/// ```
/// # use ringbell_nt as nt;
/// let [upper, lower] = ["POWERSTATE", "PowerState"].map(|name| name.encode_utf16().collect::<Vec<_>>());
/// assert_eq!(nt::hash::keyed(&upper, 7), nt::hash::keyed(&lower, 7));
/// assert_ne!(nt::hash::keyed(&upper, 7), nt::hash::keyed(&upper, 8));
/// ```
#[must_use]
pub fn keyed(name: &[u16], key: u64) -> u64 {
    let (quads, rest) = name.as_chunks::<4>();
    let mut hash = fold_multiply(key ^ SPREAD, name.len() as u64 ^ 0xA076_1D64_78BD_642F);
    for quad in quads {
        hash = fold_multiply(hash ^ upcase_quad(*quad), SPREAD);
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    fold_multiply(hash ^ upcase_quad(last), 0xE703_7ED1_A0B4_28DB)
}

/// An odd number with its bits well spread.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Mixes a word, for the position in a table.
#[must_use]
pub const fn mixed(word: u64) -> u64 {
    fold_multiply(word ^ 0xE703_7ED1_A0B4_28DB, SPREAD)
}

const fn join(quad: [u16; 4]) -> u64 {
    quad[0] as u64 | (quad[1] as u64) << 16 | (quad[2] as u64) << 32 | (quad[3] as u64) << 48
}

/// Computes [`fast4`] of an ASCII name in a constant.
///
/// # Panics
///
/// Panics when the name is not ASCII; in a constant that is a compile error.
#[must_use]
pub const fn fast4_ascii(name: &str) -> u32 {
    let bytes = name.as_bytes();
    assert!(bytes.is_ascii(), "only ASCII names hash in constants");
    let mut wide = 0;
    let mut index = 0;
    while index + 4 <= bytes.len() {
        let quad =
            [bytes[index] as u16, bytes[index + 1] as u16, bytes[index + 2] as u16, bytes[index + 3] as u16];
        wide = step4(wide, join(quad) & ASCII_QUAD_MASK);
        index += 4;
    }
    let mut hash = fold(wide);
    while index < bytes.len() {
        hash = step(hash, upcase_ascii(bytes[index] as u16));
        index += 1;
    }
    hash
}
