//! Objects: headers, names, directories, types, callback objects, registrations, ports.

use crate::pool::Block;
use crate::world::World;

/// Optional headers that a callback object may have besides its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Optional {
    /// Bit 0x01, 0x20 bytes.
    pub creator: bool,
    /// Bit 0x08, 0x20 bytes.
    pub quota: bool,
    /// Bit 0x10, 0x10 bytes.
    pub process: bool,
    /// Bit 0x20, 0x10 bytes.
    pub audit: bool,
    /// Bit 0x40, 0x10 bytes.
    pub extended: bool,
}

/// A callback object to make.
#[derive(Clone, Copy, Debug)]
pub struct CallbackSpec<'a> {
    /// Last component of its name.
    pub name: Option<&'a str>,
    /// Its name stays.
    pub permanent: bool,
    /// It takes several routines.
    pub multiple: bool,
    /// Optional headers.
    pub optional: Optional,
}

impl<'a> CallbackSpec<'a> {
    /// An object as most are made: permanent, for several routines.
    #[must_use]
    pub fn named(name: &'a str) -> Self {
        Self { name: Some(name), permanent: true, multiple: true, optional: Optional::default() }
    }

    /// An object without a name.
    #[must_use]
    pub fn unnamed(multiple: bool) -> Self {
        Self { name: None, permanent: false, multiple, optional: Optional::default() }
    }
}

/// An object that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Its pool block.
    pub block: Block,
    /// Address of its `OBJECT_HEADER`.
    pub header: u64,
    /// Address of its body.
    pub body: u64,
    /// Address of its `OBJECT_HEADER_NAME_INFO`, 0 without a name.
    pub name_info: u64,
}

/// Type indexes of this machine, as on many but not all kernels.
pub mod type_index {
    /// `Type`.
    pub const TYPE: u8 = 2;
    /// `Directory`.
    pub const DIRECTORY: u8 = 3;
    /// `SymbolicLink`.
    pub const LINK: u8 = 4;
    /// `Callback`.
    pub const CALLBACK: u8 = 0x20;
    /// `ALPC Port`.
    pub const PORT: u8 = 0x2E;
}

/// What [`World::make`] writes.
pub(crate) struct Object<'a> {
    pub(crate) tag: [u8; 4],
    pub(crate) paged: bool,
    pub(crate) index: u8,
    pub(crate) name: Option<&'a str>,
    pub(crate) optional: Optional,
    pub(crate) flags: u8,
    pub(crate) references: u64,
    pub(crate) size: u64,
}

impl World {
    /// Makes an object with its headers; the body is zero.
    pub(crate) fn make(&mut self, object: &Object<'_>) -> Made {
        let optional = object.optional;
        // The higher the bit, the lower the address.
        let parts = [
            (0x40, 0x10, optional.extended),
            (0x20, 0x10, optional.audit),
            (0x10, 0x10, optional.process),
            (0x08, 0x20, optional.quota),
            (0x02, 0x20, object.name.is_some()),
            (0x01, 0x20, optional.creator),
        ];
        let before: u64 = parts.iter().filter(|part| part.2).map(|part| part.1).sum();
        let mask: u8 = parts.iter().filter(|part| part.2).map(|part| part.0).sum();
        let block = self.take(object.paged, before + 0x30 + object.size, object.tag);
        let header = block.start + before;
        let mut at = block.start;
        let mut name_info = 0;
        for (bit, size, there) in parts {
            if !there {
                continue;
            }
            match bit {
                0x02 => name_info = at,
                0x01 => {
                    self.memory.put64(at, at); // TypeList
                    self.memory.put64(at + 8, at);
                    self.memory.put64(at + 0x10, 4); // CreatorUniqueProcess
                }
                0x08 => {
                    self.memory.put32(at + 4, 0xA8); // NonPagedPoolCharge
                    self.memory.put32(at + 8, 0x58); // SecurityDescriptorCharge
                }
                _ => {}
            }
            at += size;
        }
        if let Some(name) = object.name {
            self.write_name(name_info, name);
        }
        let descriptor = if object.name.is_some() { self.descriptor | 0xF } else { 0 };
        self.memory.put64(header, object.references); // PointerCount
        self.memory.put64(header + 0x8, 0); // HandleCount
        self.memory.put64(header + 0x10, 0); // Lock
        self.memory.put8(header + 0x18, self.cook(object.index, header)); // TypeIndex
        self.memory.put8(header + 0x1A, mask); // InfoMask
        self.memory.put8(header + 0x1B, object.flags); // Flags
        self.memory.put64(header + 0x20, 0); // ObjectCreateInfo
        self.memory.put64(header + 0x28, descriptor); // SecurityDescriptor
        Made { block, header, body: header + 0x30, name_info }
    }

    /// Stores a name in the `OBJECT_HEADER_NAME_INFO` at `name_info`.
    pub fn write_name(&mut self, name_info: u64, name: &str) {
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let buffer = self.take(true, units.len() as u64, *b"ObNm").start;
        self.memory.write(buffer, &units);
        self.memory.put16(name_info + 0x8, units.len() as u16); // Length
        self.memory.put16(name_info + 0xA, units.len() as u16); // MaximumLength
        self.memory.put64(name_info + 0x10, buffer); // Buffer
        self.memory.put32(name_info + 0x18, 0);
    }

    /// Encodes a type index for a header.
    #[must_use]
    pub fn cook(&self, index: u8, header: u64) -> u8 {
        match self.era.cookie() {
            Some(cookie) => index ^ cookie ^ (header >> 8) as u8,
            None => index,
        }
    }

    /// Makes a directory. The root is made with the name `\` and belongs to no directory.
    pub fn directory(&mut self, name: &str) -> Made {
        self.make(&Object {
            tag: *b"Dire",
            paged: true,
            index: type_index::DIRECTORY,
            name: Some(name),
            optional: Optional::default(),
            flags: 0x12,
            references: 2,
            size: self.era.directory_size(),
        })
    }

    /// Puts an object into a directory, at the head of its chain. Returns the address of the entry.
    pub fn insert(&mut self, directory: &Made, object: &Made, name: &str) -> u64 {
        let hash = self.era.hash(name);
        let bucket = directory.body + u64::from(hash % 37) * 8;
        let entry = self.take(true, 0x18, *b"ObDi").start;
        let first = self.memory.get64(bucket);
        self.memory.put64(entry, first); // ChainLink
        self.memory.put64(entry + 0x8, object.body); // Object
        self.memory.put32(entry + 0x10, hash); // HashValue
        self.memory.put64(bucket, entry);
        self.memory.put64(object.name_info, directory.body); // Directory
        let references = self.memory.get64(directory.header);
        self.memory.put64(directory.header, references + 1);
        entry
    }

    /// Makes a callback object, puts it on the global list and, with a name that stays, into `\Callback`.
    pub fn callback(&mut self, spec: CallbackSpec<'_>) -> Made {
        let directory = self.callback_directory;
        let object = self.lonely_callback(spec);
        if let (Some(name), true) = (spec.name, spec.permanent) {
            self.insert(&directory, &object, name);
            self.add_references(object.body, 1);
        }
        self.link(object.body);
        self.objects.push((spec.name.map(str::to_owned), object));
        self.count_object(1);
        object
    }

    /// Makes a callback object that is on no list and in no directory.
    pub fn lonely_callback(&mut self, spec: CallbackSpec<'_>) -> Made {
        let object = self.make(&Object {
            tag: self.era.tag(),
            paged: false,
            index: type_index::CALLBACK,
            name: spec.name,
            optional: spec.optional,
            flags: if spec.permanent { 0x12 } else { 0x02 },
            references: 1,
            size: self.era.object_size(),
        });
        let body = object.body;
        if self.era.leaves_garbage() {
            self.memory.write(body + 0x4, &[0xA5; 4]);
            self.memory.write(body + 0x20, &[0x5A; 8]);
        }
        self.memory.write(body, b"Call"); // Signature
        self.memory.put64(body + 0x8, 0); // Lock
        self.memory.put64(body + 0x10, body + 0x10); // RegisteredCallbacks
        self.memory.put64(body + 0x18, body + 0x10);
        self.memory.put8(body + 0x20, u8::from(spec.multiple)); // AllowMultipleCallbacks
        object
    }

    /// Puts an object at the end of the global list, where the kernel has one.
    pub fn link(&mut self, body: u64) {
        if !self.era.has_list() {
            return;
        }
        let (head, node) = (self.list_head(), body + 0x28);
        let last = self.memory.get64(head + 8);
        self.memory.put64(node, head);
        self.memory.put64(node + 8, last);
        self.memory.put64(last, node);
        self.memory.put64(head + 8, node);
    }

    /// Changes the number of objects that the type Callback counts.
    pub fn count_object(&mut self, change: i32) {
        let at = self.memory.get64(self.at(crate::plan::rva::CALLBACK_TYPE)) + 0x2C; // TotalNumberOfObjects
        let old = u32::from_le_bytes(self.memory.read(at, 4).try_into().expect("four bytes"));
        self.memory.put32(at, old.wrapping_add_signed(change));
    }

    /// Takes an object off the global list without touching anything else.
    pub fn unlink(&mut self, body: u64) {
        if !self.era.has_list() {
            return;
        }
        let node = body + 0x28;
        let (next, last) = (self.memory.get64(node), self.memory.get64(node + 8));
        self.memory.put64(last, next);
        self.memory.put64(next + 8, last);
    }

    /// Changes the reference count.
    pub fn add_references(&mut self, body: u64, count: i64) {
        let old = self.memory.get64(body - 0x30);
        self.memory.put64(body - 0x30, old.wrapping_add_signed(count));
    }

    /// Registers a routine at the end of an object's list. Returns the registration's address.
    pub fn register(&mut self, body: u64, routine: u64, context: u64) -> u64 {
        let registration = self.take(false, 0x30, *b"CBRe").start;
        self.write_registration(registration, body, routine, context);
        let head = body + 0x10;
        let last = self.memory.get64(head + 8);
        self.memory.put64(registration, head);
        self.memory.put64(registration + 8, last);
        self.memory.put64(last, registration);
        self.memory.put64(head + 8, registration);
        self.add_references(body, 1);
        registration
    }

    /// Writes a registration without linking it.
    pub fn write_registration(&mut self, at: u64, body: u64, routine: u64, context: u64) {
        if self.era.leaves_garbage() {
            self.memory.write(at + 0x28, &[0xA5; 8]);
        }
        self.memory.put64(at + 0x10, body); // CallbackObject
        self.memory.put64(at + 0x18, routine); // CallbackFunction
        self.memory.put64(at + 0x20, context); // CallbackContext
        self.memory.put32(at + 0x28, 0); // Busy
        self.memory.put8(at + 0x2C, 0); // UnregisterWaiting
    }

    /// Makes an ALPC port in the root directory that rings a callback object.
    pub fn port(&mut self, name: &str, callback: u64) -> Made {
        let root = self.root;
        let port = self.make(&Object {
            tag: *b"AlPo",
            paged: false,
            index: type_index::PORT,
            name: Some(name),
            optional: Optional::default(),
            flags: 0x02,
            references: 3,
            size: 0x1D8,
        });
        self.insert(&root, &port, name);
        let offset = if self.era.cookie().is_some() { 0x170 } else { 0x158 };
        self.memory.put64(port.body + offset, callback); // CallbackObject
        self.add_references(callback, 1);
        port
    }

    /// Makes a symbolic link in the root directory.
    pub fn symbolic_link(&mut self, name: &str) -> Made {
        let root = self.root;
        let link = self.make(&Object {
            tag: *b"Symb",
            paged: true,
            index: type_index::LINK,
            name: Some(name),
            optional: Optional::default(),
            flags: 0x12,
            references: 2,
            size: 0x28,
        });
        self.insert(&root, &link, name);
        link
    }

    /// Makes an object type in `\ObjectTypes`.
    pub(crate) fn object_type(&mut self, name: &str, index: u8, key: [u8; 4]) -> Made {
        let types = self.types;
        let made = self.make(&Object {
            tag: *b"ObjT",
            paged: false,
            index: type_index::TYPE,
            name: Some(name),
            optional: Optional::default(),
            flags: 0x12,
            references: 2,
            size: 0xD8,
        });
        self.insert(&types, &made, name);
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let buffer = self.take(true, units.len() as u64 + 2, *b"ObNm").start;
        self.memory.write(buffer, &units);
        let body = made.body;
        self.memory.put64(body, body); // TypeList
        self.memory.put64(body + 8, body);
        self.memory.put16(body + 0x10, units.len() as u16); // Name
        self.memory.put16(body + 0x12, units.len() as u16 + 2);
        self.memory.put64(body + 0x18, buffer);
        self.memory.put8(body + 0x28, index); // Index
        let key_at = if self.era.has_list() || self.era == crate::Era::Eight { 0xC0 } else { 0xB8 };
        self.memory.write(body + key_at, &key); // Key
        self.memory.put64(self.types_table() + 8 * u64::from(index), body);
        made
    }
}
