//! Security identifiers, access lists and descriptors, built and read in the driver's own memory.
//!
//! Models the routines that the driver kit documents over the layouts of `ntifs.h`. Access checks are the executive's.

use nt::{
    ACCESS_ALLOWED_ACE_TYPE, ACL, ACL_REVISION, ACL_REVISION_DS, GENERIC_MAPPING, NTSTATUS,
    SE_DACL_DEFAULTED, SE_DACL_PRESENT, SE_GROUP_DEFAULTED, SE_OWNER_DEFAULTED, SE_SACL_PRESENT,
    SE_SELF_RELATIVE, SECURITY_DESCRIPTOR, SECURITY_DESCRIPTOR_RELATIVE, SECURITY_DESCRIPTOR_REVISION, SID,
    SID_MAX_SUB_AUTHORITIES, SID_REVISION, STATUS_ALLOTTED_SPACE_EXCEEDED, STATUS_BAD_DESCRIPTOR_FORMAT,
    STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_ACL, STATUS_INVALID_PARAMETER, STATUS_INVALID_SECURITY_DESCR,
    STATUS_INVALID_SID, STATUS_REVISION_MISMATCH, STATUS_SUCCESS, STATUS_UNKNOWN_REVISION, UNICODE_STRING,
};

use super::counted::Counted;
use crate::export::Address;
use crate::field;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// `SE_SACL_DEFAULTED`
const SE_SACL_DEFAULTED: u16 = 0x20;
/// Bytes before the sub-authorities.
const SID_HEAD: usize = 8;

fn copy(k: &Kernel, to: u64, from: u64, bytes: usize) {
    GuestSlice::<u8>::new(k, to, bytes).copy_from(GuestSlice::new(k, from, bytes));
}

// --- SIDs ------------------------------------------------------------------------------------------------------

/// First two bytes of a SID: what every routine here may look at.
type SidHead = [u8; 2];

fn sid_length(count: u8) -> usize {
    SID_HEAD + 4 * usize::from(count)
}

fn length_of_sid(k: &Kernel, sid: u64) -> usize {
    sid_length(Guest::<SidHead>::new(k, sid).read()[1])
}

/// Returns the bytes of a SID with so many sub-authorities.
pub(crate) fn RtlLengthRequiredSid(_: &Kernel, count: u32) -> u32 {
    sid_length(0) as u32 + 4 * count
}

/// Returns the bytes of a SID.
pub(crate) fn RtlLengthSid(_: &Kernel, sid: Guest<SidHead>) -> u32 {
    sid_length(sid.read()[1]) as u32
}

/// Tells whether revision and count are possible.
pub(crate) fn RtlValidSid(_: &Kernel, sid: Option<Guest<SidHead>>) -> u8 {
    let valid = sid.is_some_and(|sid| {
        let [revision, count] = sid.read();
        revision & 0x0F == SID_REVISION && count <= SID_MAX_SUB_AUTHORITIES
    });
    u8::from(valid)
}

/// Writes revision, count and authority; the sub-authorities are the caller's.
pub(crate) fn RtlInitializeSid(k: &Kernel, sid: Address, authority: Guest<[u8; 6]>, count: u8) -> NTSTATUS {
    if count > SID_MAX_SUB_AUTHORITIES {
        return STATUS_INVALID_PARAMETER;
    }
    let head = GuestSlice::<u8>::new(k, sid.0, SID_HEAD);
    head.fill_from(&[SID_REVISION, count]);
    GuestSlice::new(k, sid.0 + 2, 6).fill_from(&authority.read());
    STATUS_SUCCESS
}

/// Returns the address of a sub-authority.
pub(crate) fn RtlSubAuthoritySid(_: &Kernel, sid: Address, index: u32) -> Address {
    Address(sid.0 + (SID_HEAD + 4 * index as usize) as u64)
}

/// Returns the address of the count.
pub(crate) fn RtlSubAuthorityCountSid(_: &Kernel, sid: Address) -> Address {
    Address(sid.0 + 1)
}

/// Tells whether two SIDs are the same.
pub(crate) fn RtlEqualSid(k: &Kernel, left: Guest<SidHead>, right: Guest<SidHead>) -> u8 {
    if left.read() != right.read() {
        return 0;
    }
    let bytes = sid_length(left.read()[1]);
    let read = |sid: Guest<SidHead>| GuestSlice::<u8>::new(k, sid.address(), bytes).to_vec();
    u8::from(read(left) == read(right))
}

/// Copies a SID into a buffer.
pub(crate) fn RtlCopySid(k: &Kernel, bytes: u32, destination: Address, source: Guest<SidHead>) -> NTSTATUS {
    let length = sid_length(source.read()[1]);
    if length > bytes as usize {
        return STATUS_BUFFER_TOO_SMALL;
    }
    copy(k, destination.0, source.address(), length);
    STATUS_SUCCESS
}

/// Writes a SID as text, `S-1-5-32-544`, in a new buffer when asked to.
pub(crate) fn RtlConvertSidToUnicodeString(
    k: &Kernel,
    string: Guest<UNICODE_STRING>,
    sid: Guest<SidHead>,
    allocate: u8,
) -> NTSTATUS {
    if RtlValidSid(k, Some(sid)) == 0 {
        return STATUS_INVALID_SID;
    }
    let [revision, count] = sid.read();
    let authority = GuestSlice::<u8>::new(k, sid.address() + 2, 6).to_vec();
    let number = authority.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    // An authority beyond 32 bits is written in hexadecimal.
    let mut text = match u32::try_from(number) {
        Ok(small) => format!("S-{revision}-{small}"),
        Err(_) => format!("S-{revision}-0x{number:012X}"),
    };
    for part in GuestSlice::<u32>::new(k, sid.address() + SID_HEAD as u64, usize::from(count)).to_vec() {
        text.push_str(&format!("-{part}"));
    }
    let text: Vec<u16> = text.encode_utf16().collect();
    let bytes = text.len() * 2;
    let string = Counted::wide(string);
    if allocate != 0 {
        let Some(buffer) = k.allocate_string(bytes + 2) else { return nt::STATUS_NO_MEMORY };
        string.set(0, bytes + 2, buffer);
    } else if bytes > string.maximum() {
        return nt::STATUS_BUFFER_OVERFLOW;
    }
    string.put(k, 0, &text);
    STATUS_SUCCESS
}

// --- access lists ----------------------------------------------------------------------------------------------

const ACL_HEAD: usize = size_of::<ACL>();

/// Writes an empty access list over a buffer.
pub(crate) fn RtlCreateAcl(k: &Kernel, acl: Address, bytes: u32, revision: u32) -> NTSTATUS {
    if (bytes as usize) < ACL_HEAD {
        return STATUS_BUFFER_TOO_SMALL;
    }
    if !(u32::from(ACL_REVISION)..=u32::from(ACL_REVISION_DS)).contains(&revision) || bytes > 0xFFFF {
        return STATUS_INVALID_PARAMETER;
    }
    let size = (bytes & !3) as u16;
    Guest::<ACL>::new(k, acl.0).write(ACL {
        AclRevision: revision as u8,
        Sbz1: 0,
        AclSize: size,
        AceCount: 0,
        Sbz2: 0,
    });
    STATUS_SUCCESS
}

/// Returns the offset behind the last entry, or `None` where an entry sticks out of the list.
fn first_free(k: &Kernel, acl: Guest<ACL>) -> Option<usize> {
    let head = acl.read();
    let mut offset = ACL_HEAD;
    for _ in 0..head.AceCount {
        if offset + 4 > usize::from(head.AclSize) {
            return None;
        }
        let size = usize::from(Guest::<[u16; 2]>::new(k, acl.address() + offset as u64).read()[1]);
        if size < 4 {
            return None;
        }
        offset += size;
    }
    (offset <= usize::from(head.AclSize)).then_some(offset)
}

/// Appends an entry that grants rights.
pub(crate) fn RtlAddAccessAllowedAce(
    k: &Kernel,
    acl: Guest<ACL>,
    revision: u32,
    mask: u32,
    sid: Guest<SidHead>,
) -> NTSTATUS {
    RtlAddAccessAllowedAceEx(k, acl, revision, 0, mask, sid)
}

/// Appends an entry that grants rights, with inheritance flags.
pub(crate) fn RtlAddAccessAllowedAceEx(
    k: &Kernel,
    acl: Guest<ACL>,
    revision: u32,
    flags: u32,
    mask: u32,
    sid: Guest<SidHead>,
) -> NTSTATUS {
    if RtlValidSid(k, Some(sid)) == 0 {
        return STATUS_INVALID_SID;
    }
    let head = acl.read();
    if u32::from(head.AclRevision) > u32::from(ACL_REVISION_DS) || revision > u32::from(ACL_REVISION_DS) {
        return STATUS_REVISION_MISMATCH;
    }
    // `VALID_INHERIT_FLAGS`
    if flags & !0x1F != 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let Some(offset) = first_free(k, acl) else { return STATUS_INVALID_ACL };
    let sid_bytes = sid_length(sid.read()[1]);
    let size = 8 + sid_bytes;
    if offset + size > usize::from(head.AclSize) {
        return STATUS_ALLOTTED_SPACE_EXCEEDED;
    }
    let ace = acl.address() + offset as u64;
    GuestSlice::new(k, ace, 2).fill_from(&[ACCESS_ALLOWED_ACE_TYPE, flags as u8]);
    Guest::<u16>::new(k, ace + 2).write(size as u16);
    Guest::<u32>::new(k, ace + 4).write(mask);
    copy(k, ace + 8, sid.address(), sid_bytes);
    field!(acl, ACL, AceCount).write(head.AceCount + 1);
    field!(acl, ACL, AclRevision).write(head.AclRevision.max(revision as u8));
    STATUS_SUCCESS
}

/// Finds an entry by its number.
pub(crate) fn RtlGetAce(k: &Kernel, acl: Guest<ACL>, index: u32, ace: Guest<u64>) -> NTSTATUS {
    let head = acl.read();
    if index >= u32::from(head.AceCount) {
        return STATUS_INVALID_PARAMETER;
    }
    let mut offset = ACL_HEAD;
    for _ in 0..index {
        offset += usize::from(Guest::<[u16; 2]>::new(k, acl.address() + offset as u64).read()[1]);
        if offset >= usize::from(head.AclSize) {
            return STATUS_INVALID_PARAMETER;
        }
    }
    ace.write(acl.address() + offset as u64);
    STATUS_SUCCESS
}

/// Replaces the generic rights in a mask by what they mean for a type.
pub(crate) fn RtlMapGenericMask(_: &Kernel, mask: Guest<u32>, mapping: Guest<GENERIC_MAPPING>) {
    mask.write(mapping.read().map(mask.read()));
}

// --- descriptors -----------------------------------------------------------------------------------------------

/// Makes an empty absolute descriptor.
pub(crate) fn RtlCreateSecurityDescriptor(
    k: &Kernel,
    descriptor: Guest<SECURITY_DESCRIPTOR>,
    revision: u32,
) -> NTSTATUS {
    if revision != u32::from(SECURITY_DESCRIPTOR_REVISION) {
        return STATUS_UNKNOWN_REVISION;
    }
    GuestSlice::<u8>::new(k, descriptor.address(), size_of::<SECURITY_DESCRIPTOR>()).fill(0);
    field!(descriptor, SECURITY_DESCRIPTOR, Revision).write(SECURITY_DESCRIPTOR_REVISION);
    STATUS_SUCCESS
}

/// Refuses what cannot be changed: another revision, or a descriptor in one block.
fn absolute(descriptor: Guest<SECURITY_DESCRIPTOR>) -> Result<Guest<u16>, NTSTATUS> {
    if field!(descriptor, SECURITY_DESCRIPTOR, Revision).read() != SECURITY_DESCRIPTOR_REVISION {
        return Err(STATUS_UNKNOWN_REVISION);
    }
    let control = field!(descriptor, SECURITY_DESCRIPTOR, Control);
    if control.read() & SE_SELF_RELATIVE != 0 {
        return Err(STATUS_INVALID_SECURITY_DESCR);
    }
    Ok(control)
}

fn set_bit(control: Guest<u16>, bit: u16, on: bool) {
    let value = control.read();
    control.write(if on { value | bit } else { value & !bit });
}

/// Sets or removes the discretionary list. A null list that is present grants everything.
pub(crate) fn RtlSetDaclSecurityDescriptor(
    _: &Kernel,
    descriptor: Guest<SECURITY_DESCRIPTOR>,
    present: u8,
    dacl: Address,
    defaulted: u8,
) -> NTSTATUS {
    let control = match absolute(descriptor) {
        Ok(control) => control,
        Err(status) => return status,
    };
    set_bit(control, SE_DACL_PRESENT, present != 0);
    if present != 0 {
        field!(descriptor, SECURITY_DESCRIPTOR, Dacl).write(dacl.ptr());
        set_bit(control, SE_DACL_DEFAULTED, defaulted != 0);
    }
    STATUS_SUCCESS
}

/// Sets or removes the system list.
pub(crate) fn RtlSetSaclSecurityDescriptor(
    _: &Kernel,
    descriptor: Guest<SECURITY_DESCRIPTOR>,
    present: u8,
    sacl: Address,
    defaulted: u8,
) -> NTSTATUS {
    let control = match absolute(descriptor) {
        Ok(control) => control,
        Err(status) => return status,
    };
    set_bit(control, SE_SACL_PRESENT, present != 0);
    if present != 0 {
        field!(descriptor, SECURITY_DESCRIPTOR, Sacl).write(sacl.ptr());
        set_bit(control, SE_SACL_DEFAULTED, defaulted != 0);
    }
    STATUS_SUCCESS
}

/// Sets the owner.
pub(crate) fn RtlSetOwnerSecurityDescriptor(
    _: &Kernel,
    descriptor: Guest<SECURITY_DESCRIPTOR>,
    owner: Address,
    defaulted: u8,
) -> NTSTATUS {
    let control = match absolute(descriptor) {
        Ok(control) => control,
        Err(status) => return status,
    };
    field!(descriptor, SECURITY_DESCRIPTOR, Owner).write(owner.ptr());
    set_bit(control, SE_OWNER_DEFAULTED, defaulted != 0);
    STATUS_SUCCESS
}

/// Sets the group.
pub(crate) fn RtlSetGroupSecurityDescriptor(
    _: &Kernel,
    descriptor: Guest<SECURITY_DESCRIPTOR>,
    group: Address,
    defaulted: u8,
) -> NTSTATUS {
    let control = match absolute(descriptor) {
        Ok(control) => control,
        Err(status) => return status,
    };
    field!(descriptor, SECURITY_DESCRIPTOR, Group).write(group.ptr());
    set_bit(control, SE_GROUP_DEFAULTED, defaulted != 0);
    STATUS_SUCCESS
}

/// The parts of a descriptor of either form, as addresses; zero where a part is missing.
struct Parts {
    control: u16,
    owner: u64,
    group: u64,
    sacl: u64,
    dacl: u64,
}

fn parts(k: &Kernel, descriptor: u64) -> Result<Parts, NTSTATUS> {
    let head = Guest::<[u16; 2]>::new(k, descriptor).read();
    if head[0] & 0xFF != u16::from(SECURITY_DESCRIPTOR_REVISION) {
        return Err(STATUS_UNKNOWN_REVISION);
    }
    let control = head[1];
    let mut parts = if control & SE_SELF_RELATIVE != 0 {
        let relative = Guest::<SECURITY_DESCRIPTOR_RELATIVE>::new(k, descriptor).read();
        let at = |offset: u32| if offset == 0 { 0 } else { descriptor + u64::from(offset) };
        Parts {
            control,
            owner: at(relative.Owner),
            group: at(relative.Group),
            sacl: at(relative.Sacl),
            dacl: at(relative.Dacl),
        }
    } else {
        let absolute = Guest::<SECURITY_DESCRIPTOR>::new(k, descriptor).read();
        Parts {
            control,
            owner: absolute.Owner as u64,
            group: absolute.Group as u64,
            sacl: absolute.Sacl as u64,
            dacl: absolute.Dacl as u64,
        }
    };
    if control & SE_SACL_PRESENT == 0 {
        parts.sacl = 0;
    }
    if control & SE_DACL_PRESENT == 0 {
        parts.dacl = 0;
    }
    Ok(parts)
}

/// Reads the discretionary list.
pub(crate) fn RtlGetDaclSecurityDescriptor(
    k: &Kernel,
    descriptor: Address,
    present: Guest<u8>,
    dacl: Guest<u64>,
    defaulted: Guest<u8>,
) -> NTSTATUS {
    let parts = match parts(k, descriptor.0) {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    present.write(u8::from(parts.control & SE_DACL_PRESENT != 0));
    if parts.control & SE_DACL_PRESENT != 0 {
        dacl.write(parts.dacl);
        defaulted.write(u8::from(parts.control & SE_DACL_DEFAULTED != 0));
    }
    STATUS_SUCCESS
}

/// Reads the system list.
pub(crate) fn RtlGetSaclSecurityDescriptor(
    k: &Kernel,
    descriptor: Address,
    present: Guest<u8>,
    sacl: Guest<u64>,
    defaulted: Guest<u8>,
) -> NTSTATUS {
    let parts = match parts(k, descriptor.0) {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    present.write(u8::from(parts.control & SE_SACL_PRESENT != 0));
    if parts.control & SE_SACL_PRESENT != 0 {
        sacl.write(parts.sacl);
        defaulted.write(u8::from(parts.control & SE_SACL_DEFAULTED != 0));
    }
    STATUS_SUCCESS
}

/// Reads the owner.
pub(crate) fn RtlGetOwnerSecurityDescriptor(
    k: &Kernel,
    descriptor: Address,
    owner: Guest<u64>,
    defaulted: Guest<u8>,
) -> NTSTATUS {
    let parts = match parts(k, descriptor.0) {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    owner.write(parts.owner);
    defaulted.write(u8::from(parts.control & SE_OWNER_DEFAULTED != 0));
    STATUS_SUCCESS
}

/// Reads the group.
pub(crate) fn RtlGetGroupSecurityDescriptor(
    k: &Kernel,
    descriptor: Address,
    group: Guest<u64>,
    defaulted: Guest<u8>,
) -> NTSTATUS {
    let parts = match parts(k, descriptor.0) {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    group.write(parts.group);
    defaulted.write(u8::from(parts.control & SE_GROUP_DEFAULTED != 0));
    STATUS_SUCCESS
}

fn rounded(bytes: usize) -> usize {
    bytes.next_multiple_of(4)
}

/// Bytes of each part, in the order in which they stand in one block: system list, discretionary list, owner, group.
fn sizes(k: &Kernel, parts: &Parts) -> [(u64, usize); 4] {
    let sid = |at: u64| if at == 0 { 0 } else { length_of_sid(k, at) };
    let acl = |at: u64| if at == 0 { 0 } else { usize::from(Guest::<ACL>::new(k, at).read().AclSize) };
    [
        (parts.sacl, acl(parts.sacl)),
        (parts.dacl, acl(parts.dacl)),
        (parts.owner, sid(parts.owner)),
        (parts.group, sid(parts.group)),
    ]
}

/// Returns the bytes of a descriptor with all its parts, in the form it has.
pub(crate) fn RtlLengthSecurityDescriptor(k: &Kernel, descriptor: Address) -> u32 {
    let Ok(parts) = parts(k, descriptor.0) else { return size_of::<SECURITY_DESCRIPTOR>() as u32 };
    let head = if parts.control & SE_SELF_RELATIVE != 0 {
        size_of::<SECURITY_DESCRIPTOR_RELATIVE>()
    } else {
        size_of::<SECURITY_DESCRIPTOR>()
    };
    sizes(k, &parts).iter().fold(head, |sum, (_, bytes)| sum + rounded(*bytes)) as u32
}

/// Tells whether a descriptor and its parts are well formed.
pub(crate) fn RtlValidSecurityDescriptor(k: &Kernel, descriptor: Option<Guest<[u16; 2]>>) -> u8 {
    let Some(descriptor) = descriptor else { return 0 };
    let Ok(parts) = parts(k, descriptor.address()) else { return 0 };
    let sid_valid = |at: u64| RtlValidSid(k, Guest::optional(k, at)) != 0;
    let acl_valid = |at: u64| {
        let acl = Guest::<ACL>::new(k, at);
        let head = acl.read();
        let revision = ACL_REVISION..=ACL_REVISION_DS;
        revision.contains(&head.AclRevision)
            && usize::from(head.AclSize) >= ACL_HEAD
            && first_free(k, acl).is_some()
    };
    let sids = [parts.owner, parts.group].into_iter().all(|at| at == 0 || sid_valid(at));
    let acls = [parts.sacl, parts.dacl].into_iter().all(|at| at == 0 || acl_valid(at));
    u8::from(sids && acls)
}

/// Copies an absolute descriptor with its parts into one block.
pub(crate) fn RtlAbsoluteToSelfRelativeSD(
    k: &Kernel,
    absolute: Address,
    relative: Address,
    bytes: Guest<u32>,
) -> NTSTATUS {
    let parts = match parts(k, absolute.0) {
        Ok(parts) => parts,
        Err(status) => return status,
    };
    if parts.control & SE_SELF_RELATIVE != 0 {
        return STATUS_BAD_DESCRIPTOR_FORMAT;
    }
    let sizes = sizes(k, &parts);
    let head = size_of::<SECURITY_DESCRIPTOR_RELATIVE>();
    let needed = sizes.iter().fold(head, |sum, (_, bytes)| sum + rounded(*bytes));
    let room = bytes.read() as usize;
    bytes.write(needed as u32);
    if room < needed {
        return STATUS_BUFFER_TOO_SMALL;
    }
    GuestSlice::<u8>::new(k, relative.0, needed).fill(0);
    let mut offset = head;
    let offsets = sizes.map(|(from, size)| {
        if size == 0 {
            return 0;
        }
        let at = offset;
        copy(k, relative.0 + at as u64, from, size);
        offset += rounded(size);
        at as u32
    });
    let [sacl, dacl, owner, group] = offsets;
    Guest::<SECURITY_DESCRIPTOR_RELATIVE>::new(k, relative.0).write(SECURITY_DESCRIPTOR_RELATIVE {
        Revision: SECURITY_DESCRIPTOR_REVISION,
        Sbz1: 0,
        Control: parts.control | SE_SELF_RELATIVE,
        Owner: owner,
        Group: group,
        Sacl: sacl,
        Dacl: dacl,
    });
    STATUS_SUCCESS
}

const _: () = assert!(size_of::<SID>() == SID_HEAD + 4);
