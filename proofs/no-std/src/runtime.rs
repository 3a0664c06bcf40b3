//! What the C library would bring on this target. A kernel's own target (`x86_64-unknown-none`) has the memory routines in
//! `compiler_builtins` and nothing that unwinds; the target of this example takes both from elsewhere.

use core::arch::asm;
use core::ffi::c_int;

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: readable and writable for that many bytes, and apart, by the caller's promise; the direction flag is clear by the ABI.
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    }
    to
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= bytes {
        // SAFETY: ascending order reads every byte before it is written over.
        return unsafe { memcpy(to, from, bytes) };
    }
    let last = bytes - 1;
    // SAFETY: as for `memcpy`, in descending order; the direction flag is clear again afterwards.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") bytes => _, inout("rdi") to.wrapping_add(last) => _,
             inout("rsi") from.wrapping_add(last) => _, options(nostack));
    }
    to
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: c_int, bytes: usize) -> *mut u8 {
    // SAFETY: writable for that many bytes by the caller's promise.
    unsafe {
        asm!("rep stosb", inout("rcx") bytes => _, inout("rdi") to => _, in("al") byte as u8, options(nostack, preserves_flags));
    }
    to
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, bytes: usize) -> c_int {
    for index in 0..bytes {
        // SAFETY: inside the memory by the caller's promise. Volatile, so that the loop does not become a call of itself.
        let left = unsafe { left.wrapping_add(index).read_volatile() };
        // SAFETY: as above.
        let right = unsafe { right.wrapping_add(index).read_volatile() };
        if left != right {
            return c_int::from(left) - c_int::from(right);
        }
    }
    0
}

/// # Safety
///
/// As in C.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, bytes: usize) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { memcmp(left, right, bytes) }
}

/// Named by the precompiled `alloc`; nothing here unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// As above.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    crate::die("something unwinds")
}
