//! Reading descriptors and qualities of service out of memory that callers own.

use alloc::vec::Vec;
use core::ffi::c_void;

use nt::{
    ACL, NTSTATUS, SE_DACL_PRESENT, SE_SACL_PRESENT, SE_SELF_RELATIVE, SECURITY_DESCRIPTOR,
    SECURITY_DESCRIPTOR_RELATIVE, SECURITY_DESCRIPTOR_REVISION, SECURITY_QUALITY_OF_SERVICE,
    STATUS_BAD_IMPERSONATION_LEVEL, STATUS_INVALID_ACL, STATUS_INVALID_PARAMETER,
    STATUS_INVALID_SECURITY_DESCR, STATUS_INVALID_SID, STATUS_UNKNOWN_REVISION,
};

use super::acl::ACL_HEAD;
use super::sid::SID_HEAD;
use super::{Acl, Descriptor, Sid};

/// Highest `SECURITY_IMPERSONATION_LEVEL`, `SecurityDelegation`.
const SECURITY_DELEGATION: u32 = 3;

/// Copies bytes out of memory that anybody may be writing.
///
/// # Safety
///
/// `at` points to `length` readable bytes.
unsafe fn copy(at: *const c_void, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    for offset in 0..length {
        let byte = at.cast::<u8>().wrapping_add(offset);
        // SAFETY: inside the range the caller promised.
        bytes.push(unsafe { byte.read_volatile() });
    }
    bytes
}

/// Reads a SID whose size its second byte says.
///
/// # Safety
///
/// `at` points to a readable `SID`.
unsafe fn read_sid(at: *const c_void) -> Result<Sid, NTSTATUS> {
    // SAFETY: the head is part of the SID.
    let head = unsafe { copy(at, SID_HEAD) };
    // SAFETY: as long as its second byte says.
    let all = unsafe { copy(at, SID_HEAD + 4 * usize::from(head[1])) };
    Sid::parse(&all).ok_or(STATUS_INVALID_SID)
}

/// Reads an access list whose size its head says.
///
/// # Safety
///
/// `at` points to a readable `ACL`.
unsafe fn read_acl(at: *const c_void) -> Result<Acl, NTSTATUS> {
    // SAFETY: the head is part of the list.
    let head = unsafe { copy(at, ACL_HEAD) };
    let size = usize::from(u16::from_le_bytes([head[2], head[3]]));
    if size < size_of::<ACL>() {
        return Err(STATUS_INVALID_ACL);
    }
    // SAFETY: as long as the head says.
    let all = unsafe { copy(at, size) };
    Acl::parse(&all).ok_or(STATUS_INVALID_ACL)
}

/// Reads a security descriptor in either form.
///
/// # Errors
///
/// `STATUS_UNKNOWN_REVISION` for a revision other than 1, `STATUS_INVALID_SID`, `STATUS_INVALID_ACL`, or
/// `STATUS_INVALID_SECURITY_DESCR` for a self-relative one whose parts lie inside its own head.
///
/// # Safety
///
/// `at` points to a readable descriptor, and what it points to is readable.
pub(crate) unsafe fn read_descriptor(at: *const c_void) -> Result<Descriptor, NTSTATUS> {
    // SAFETY: both forms start with revision and control, and the relative form is the shorter one.
    let head = unsafe { at.cast::<SECURITY_DESCRIPTOR_RELATIVE>().read_unaligned() };
    if head.Revision != SECURITY_DESCRIPTOR_REVISION {
        return Err(STATUS_UNKNOWN_REVISION);
    }
    let part = |offset: u32| -> Result<*const c_void, NTSTATUS> {
        match offset as usize {
            0 => Ok(core::ptr::null()),
            inside if inside < size_of::<SECURITY_DESCRIPTOR_RELATIVE>() => {
                Err(STATUS_INVALID_SECURITY_DESCR)
            }
            offset => Ok(at.wrapping_byte_add(offset)),
        }
    };
    let (owner, group, sacl, dacl) = if head.Control & SE_SELF_RELATIVE != 0 {
        (part(head.Owner)?, part(head.Group)?, part(head.Sacl)?, part(head.Dacl)?)
    } else {
        // SAFETY: the control says that this is the absolute form.
        let all = unsafe { at.cast::<SECURITY_DESCRIPTOR>().read_unaligned() };
        (
            all.Owner.cast_const().cast(),
            all.Group.cast_const().cast(),
            all.Sacl.cast_const().cast(),
            all.Dacl.cast_const().cast(),
        )
    };
    let sid = |at: *const c_void| {
        // SAFETY: the caller promises that the parts are readable.
        (!at.is_null()).then(|| unsafe { read_sid(at) }).transpose()
    };
    let acl = |present: u16, at: *const c_void| {
        if head.Control & present == 0 {
            return Ok(None);
        }
        // SAFETY: the caller promises that the parts are readable.
        (!at.is_null()).then(|| unsafe { read_acl(at) }).transpose().map(Some)
    };
    Ok(Descriptor {
        owner: sid(owner)?,
        group: sid(group)?,
        dacl: acl(SE_DACL_PRESENT, dacl)?,
        sacl: acl(SE_SACL_PRESENT, sacl)?,
    })
}

/// Checks a quality of service the way object attributes are captured.
///
/// # Errors
///
/// `STATUS_INVALID_PARAMETER` for a tracking mode other than 0 and 1, `STATUS_BAD_IMPERSONATION_LEVEL` for a level above 3.
///
/// # Safety
///
/// `at` points to a readable `SECURITY_QUALITY_OF_SERVICE`.
pub(crate) unsafe fn read_quality_of_service(
    at: *const c_void,
) -> Result<SECURITY_QUALITY_OF_SERVICE, NTSTATUS> {
    // SAFETY: the caller promises the structure; any bytes are a value.
    let quality = unsafe { at.cast::<SECURITY_QUALITY_OF_SERVICE>().read_unaligned() };
    if quality.ContextTrackingMode >= 2 {
        Err(STATUS_INVALID_PARAMETER)
    } else if quality.ImpersonationLevel > SECURITY_DELEGATION {
        Err(STATUS_BAD_IMPERSONATION_LEVEL)
    } else {
        Ok(quality)
    }
}
