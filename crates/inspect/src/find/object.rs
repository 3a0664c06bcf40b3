//! One object read out: header, name, body, registrations, pool block.

use nt::mm::tag;
use nt::{CALLBACK_OBJECT, CALLBACK_REGISTRATION, CALLBACK_SIGNATURE, POOL_HEADER};
use record::Value;

use super::header::{Header, NameInfo};
use super::shape::{REGISTRATION, Shape, offset};
use super::walk::{Walk, walk};
use super::words;
use crate::memory::{Memory, MemoryExt as _, Missing};

/// The most registrations of one object that are followed.
pub(crate) const MAX_LISTENERS: usize = 16_384;

/// Bit of `PoolType` while a block is in use, on every version that this reads.
pub(crate) const IN_USE: u8 = 0x02;

/// How an object's pool block looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pool {
    /// Tagged as callback objects are, and in use.
    InUse { block: u64, size: u64 },
    /// Tagged as callback objects are, and free.
    Free { block: u64 },
    /// Something else stands where the pool header belongs.
    Other { block: u64, tag: [u8; 4] },
}

/// A registration, read.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) at: u64,
    pub(crate) object: u64,
    pub(crate) routine: u64,
    pub(crate) context: u64,
    pub(crate) busy: u32,
    pub(crate) waiting: u8,
}

/// An object, read.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) body: u64,
    pub(crate) signature: Result<u32, Missing>,
    pub(crate) header: Result<Header, Missing>,
    pub(crate) name: Option<Result<NameInfo, Missing>>,
    pub(crate) lock: Result<u64, Missing>,
    pub(crate) multiple: Result<u8, Missing>,
    pub(crate) pool: Result<Pool, Missing>,
    pub(crate) walk: Walk,
    pub(crate) registrations: Vec<Registration>,
    /// Registrations that are linked but not there.
    pub(crate) missing: Vec<Missing>,
}

impl Object {
    /// Reads the object at `body`.
    pub(crate) fn read(memory: &dyn Memory, shape: &Shape, body: u64, bound: usize) -> Self {
        let header = Header::read(memory, body);
        let walk = walk(memory, body.wrapping_add(shape.registered), bound.min(MAX_LISTENERS));
        let mut registrations = Vec::new();
        let mut missing = Vec::new();
        for &node in &walk.nodes {
            match Registration::read(memory, node) {
                Ok(registration) => registrations.push(registration),
                Err(why) => missing.push(why),
            }
        }
        Self {
            body,
            signature: memory.u32(body.wrapping_add(offset(&CALLBACK_OBJECT::LAYOUT, "Signature"))),
            name: header.as_ref().ok().and_then(|header| header.name_info(memory)),
            lock: memory.u64(body.wrapping_add(shape.lock)),
            multiple: memory.u8(body.wrapping_add(shape.multiple)),
            pool: header.and_then(|header| pool(memory, header.block())),
            header,
            walk,
            registrations,
            missing,
        }
    }

    pub(crate) fn has_signature(&self) -> bool {
        self.signature == Ok(CALLBACK_SIGNATURE)
    }

    /// Tells why the object counts as freed; `None` for a live one. Only for what nothing else leads to.
    pub(crate) fn freed(&self) -> Option<&'static str> {
        match (&self.pool, &self.header) {
            (Ok(Pool::Free { .. }), _) => Some("its pool block is free"),
            (_, Ok(header)) if header.pointer_count <= 0 => Some("its reference count is zero"),
            _ => None,
        }
    }

    /// Gives the leaf of the name, where it can be read.
    pub(crate) fn leaf(&self) -> Option<&str> {
        match &self.name {
            Some(Ok(NameInfo { name: Ok(name), .. })) => Some(name),
            _ => None,
        }
    }

    /// Gives the directory that the object says it lies in; `None` for none.
    pub(crate) fn directory(&self) -> Option<u64> {
        match &self.name {
            Some(Ok(info)) if info.directory != 0 => Some(info.directory),
            _ => None,
        }
    }

    /// Says how the pool block looks.
    pub(crate) fn pool_words(&self) -> Value<String> {
        words::value(self.pool).map(|pool| match pool {
            Pool::InUse { block, size } => format!("block of {size:#x} bytes at {block:#x}, in use"),
            Pool::Free { block } => format!("block at {block:#x}, free"),
            Pool::Other { block, tag } => {
                format!("no block of a callback object at {block:#x} (tag `{}`)", tag.escape_ascii())
            }
        })
    }
}

impl Registration {
    /// Reads the registration at an address.
    pub(crate) fn read(memory: &dyn Memory, at: u64) -> Result<Self, Missing> {
        let bytes: [u8; REGISTRATION] = memory.array(at)?;
        let layout = &CALLBACK_REGISTRATION::LAYOUT;
        let place = |name| offset(layout, name) as usize;
        let word = |name| crate::fields::u64_at(&bytes, place(name));
        Ok(Self {
            at,
            object: word("CallbackObject"),
            routine: word("CallbackFunction"),
            context: word("CallbackContext"),
            busy: crate::fields::u32_at(&bytes, place("Busy")),
            waiting: bytes[place("UnregisterWaiting")],
        })
    }
}

/// Reads the header of the pool block that should begin at `block`.
fn pool(memory: &dyn Memory, block: u64) -> Result<Pool, Missing> {
    let layout = &POOL_HEADER::LAYOUT;
    let found = memory.u32(block.wrapping_add(offset(layout, "PoolTag")))?;
    if found != tag::CALL && found != tag::CALL_PROTECTED {
        return Ok(Pool::Other { block, tag: found.to_le_bytes() });
    }
    let size =
        u64::from(memory.u8(block.wrapping_add(offset(layout, "BlockSize")))?) * nt::mm::POOL_BLOCK as u64;
    let kind = memory.u8(block.wrapping_add(offset(layout, "PoolType")))?;
    Ok(if kind & IN_USE == 0 { Pool::Free { block } } else { Pool::InUse { block, size } })
}
