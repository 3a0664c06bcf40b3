//! Bounds-checked reading of the raw PE structures.
//!
//! The structures of `object::pe` are plain bytes of alignment one here, so any offset may be read; a read that does
//! not fit says which structure it was, where, and how many bytes are missing.

use object::pod::{Pod, from_bytes};

use crate::error::ImageError;

/// The largest structure [`read_with`] reads: the load configuration directory, with room to grow.
const LARGEST: usize = 0x200;

/// Returns the structure `T` at a file offset.
///
/// # Errors
///
/// [`ImageError::Truncated`] when the file ends before the structure does.
pub(crate) fn at<'a, T: Pod>(bytes: &'a [u8], offset: u64, what: &'static str) -> Result<&'a T, ImageError> {
    let size = size_of::<T>() as u64;
    let tail = slice(bytes, offset, size, what)?;
    match from_bytes(tail) {
        Ok((value, _)) => Ok(value),
        Err(()) => Err(ImageError::Truncated { what, offset, needed: size, missing: size }),
    }
}

/// Returns `size` bytes at a file offset.
///
/// # Errors
///
/// [`ImageError::Truncated`] when the file ends earlier.
pub(crate) fn slice<'a>(
    bytes: &'a [u8],
    offset: u64,
    size: u64,
    what: &'static str,
) -> Result<&'a [u8], ImageError> {
    let length = bytes.len() as u64;
    let end = offset.saturating_add(size);
    if end > length {
        let missing = size.min(end - length);
        return Err(ImageError::Truncated { what, offset, needed: size, missing });
    }
    // Both fit usize: they are at most the length of a slice.
    Ok(&bytes[offset as usize..end as usize])
}

/// Returns the structure `T` built from what `fill` writes into a zeroed buffer of its size.
pub(crate) fn read_with<T: Pod + Copy>(fill: impl FnOnce(&mut [u8]) -> Option<()>) -> Option<T> {
    let mut buffer = [0_u8; LARGEST];
    let buffer = buffer.get_mut(..size_of::<T>())?;
    fill(buffer)?;
    from_bytes::<T>(buffer).ok().map(|(value, _)| *value)
}

/// Returns the text before the first NUL, if it is there within `max` bytes.
///
/// `implied` says that zeros follow the slice (the zero-filled part of a section), so that its end counts as a NUL.
pub(crate) fn c_string(bytes: &[u8], max: usize, implied: bool) -> Option<&[u8]> {
    let window = &bytes[..bytes.len().min(max + 1)];
    match window.iter().position(|&byte| byte == 0) {
        Some(end) => Some(&window[..end]),
        None if implied && window.len() == bytes.len() => Some(window),
        None => None,
    }
}

/// Returns the text if it is what linkers write for names: non-empty printable ASCII or UTF-8 without controls.
pub(crate) fn name(bytes: &[u8]) -> Option<&str> {
    let text = core::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then_some(text)
}

/// Rounds up to a power of two; `None` when the result does not fit.
pub(crate) fn align_up(value: u32, alignment: u32) -> Option<u32> {
    debug_assert!(alignment.is_power_of_two());
    Some(value.checked_add(alignment - 1)? & !(alignment - 1))
}
