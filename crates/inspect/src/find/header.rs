//! Object headers, and the names in front of them.

use nt::OBJECT_HEADER;
use nt::ob::{OBJECT_HEADER_NAME_INFO, flags, info, info_mask_to_offset, info_size};

use super::shape::{BODY, Shape, offset};
use crate::memory::{Memory, MemoryExt as _, Missing};

/// An `OBJECT_HEADER`, read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) at: u64,
    pub(crate) pointer_count: i64,
    pub(crate) handle_count: i64,
    pub(crate) raw_type: u8,
    pub(crate) info_mask: u8,
    pub(crate) flags: u8,
    pub(crate) create_info: u64,
    pub(crate) descriptor: u64,
}

/// An `OBJECT_HEADER_NAME_INFO`, read.
#[derive(Clone, Debug)]
pub(crate) struct NameInfo {
    pub(crate) directory: u64,
    /// Last component of the name, or why it is not there.
    pub(crate) name: Result<String, Missing>,
}

const SIZE: usize = size_of::<OBJECT_HEADER>();

impl Header {
    /// Reads the header of the object at `body`.
    pub(crate) fn read(memory: &dyn Memory, body: u64) -> Result<Self, Missing> {
        let at = body.wrapping_sub(BODY);
        let bytes: [u8; SIZE] = memory.array(at)?;
        let layout = &OBJECT_HEADER::LAYOUT;
        let word = |name| crate::fields::u64_at(&bytes, offset(layout, name) as usize);
        let byte = |name| bytes[offset(layout, name) as usize];
        Ok(Self {
            at,
            pointer_count: word("PointerCount").cast_signed(),
            handle_count: word("HandleCount").cast_signed(),
            raw_type: byte("TypeIndex"),
            info_mask: byte("InfoMask"),
            flags: byte("Flags"),
            create_info: word("ObjectCreateInfo"),
            descriptor: word("SecurityDescriptor"),
        })
    }

    /// Gives what is the same for all objects of one type: the index, mixed with the cookie where there is one.
    pub(crate) fn type_mark(&self, shape: &Shape) -> u8 {
        if shape.has_cookie() { self.raw_type ^ (self.at >> 8) as u8 } else { self.raw_type }
    }

    /// Tells whether this may be the header of a callback object that somebody created and inserted.
    pub(crate) fn fits(&self) -> bool {
        (0..0x100_0000).contains(&self.pointer_count)
            && (0..0x1_0000).contains(&self.handle_count)
            && self.info_mask & (info::HANDLE | info::PADDING) == 0
            && self.flags & flags::KERNEL_OBJECT != 0
            && self.flags & (flags::NEW_OBJECT | flags::SINGLE_HANDLE_ENTRY | flags::DELETED_INLINE) == 0
            && self.create_info == 0
    }

    pub(crate) fn is_permanent(&self) -> bool {
        self.flags & flags::PERMANENT != 0
    }

    pub(crate) fn has_name(&self) -> bool {
        self.info_mask & info::NAME != 0
    }

    /// Gives the address of the pool block that the object is in.
    pub(crate) fn block(&self) -> u64 {
        self.at.wrapping_sub(info_size(self.info_mask) as u64 + 0x10)
    }

    /// Reads the name; `None` where the object has none.
    pub(crate) fn name_info(&self, memory: &dyn Memory) -> Option<Result<NameInfo, Missing>> {
        let before = info_mask_to_offset(self.info_mask, info::NAME)?;
        Some(name_info(memory, self.at.wrapping_sub(before as u64)))
    }
}

fn name_info(memory: &dyn Memory, at: u64) -> Result<NameInfo, Missing> {
    let layout = &OBJECT_HEADER_NAME_INFO::LAYOUT;
    let directory = memory.u64(at.wrapping_add(offset(layout, "Directory")))?;
    Ok(NameInfo { directory, name: counted_string(memory, at.wrapping_add(offset(layout, "Name"))) })
}

/// Reads a `UNICODE_STRING`.
pub(crate) fn counted_string(memory: &dyn Memory, at: u64) -> Result<String, Missing> {
    let length = usize::from(memory.u16(at)?) & !1;
    let buffer = memory.u64(at.wrapping_add(8))?;
    let (bytes, missing) = memory.bytes(buffer, length);
    match missing {
        Some(missing) => Err(missing),
        None => {
            let (pairs, _) = bytes.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
            Ok(String::from_utf16_lossy(&units))
        }
    }
}
