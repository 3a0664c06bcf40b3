//! Calls of `ExCreateCallback`.

use std::ptr::{null_mut, without_provenance_mut};

use nt::{HANDLE, OBJECT_ATTRIBUTES, UNICODE_STRING};

use super::{Nt, Object, handles, read};

/// A call of `ExCreateCallback`.
#[derive(Clone)]
pub(crate) struct Ask {
    name: Option<Vec<u16>>,
    name_bytes: Option<u16>,
    attributes: u32,
    create: u8,
    multiple: u8,
    root: HANDLE,
    length: u32,
    quality: Option<[u8; 12]>,
}

/// Asks for a name, to create it where it is missing.
pub(crate) fn ask(name: &str, attributes: u32) -> Ask {
    Ask { name: Some(name.encode_utf16().collect()), ..ask_unnamed(attributes) }
}

/// Asks for an object without name.
pub(crate) fn ask_unnamed(attributes: u32) -> Ask {
    Ask {
        name: None,
        name_bytes: None,
        attributes,
        create: 1,
        multiple: 1,
        root: null_mut(),
        length: size_of::<OBJECT_ATTRIBUTES>() as u32,
        quality: None,
    }
}

impl Ask {
    /// Opens only.
    pub(crate) fn open(mut self) -> Self {
        self.create = 0;
        self
    }

    pub(crate) fn multiple(mut self, multiple: u8) -> Self {
        self.multiple = multiple;
        self
    }

    pub(crate) fn root(mut self, root: HANDLE) -> Self {
        self.root = root;
        self
    }

    /// Lies about the length of the attributes.
    pub(crate) fn length(mut self, length: u32) -> Self {
        self.length = length;
        self
    }

    /// Lies about the length of the name.
    pub(crate) fn name_bytes(mut self, bytes: u16) -> Self {
        self.name_bytes = Some(bytes);
        self
    }

    /// Adds a quality of service: level and tracking byte.
    pub(crate) fn quality(mut self, level: u32, tracking: u8) -> Self {
        let mut bytes = [0; 12];
        bytes[0] = 12;
        bytes[4..8].copy_from_slice(&level.to_le_bytes());
        bytes[8] = tracking;
        self.quality = Some(bytes);
        self
    }

    /// Calls, and checks what holds for every call: attributes and number of handles as before, output
    /// written on success only.
    pub(crate) fn result(&self, nt: &Nt) -> Result<Object, u32> {
        const UNTOUCHED: usize = 0xDEAD_BEE8;
        // Room for the longest name, so that a lie about the length stays inside.
        let mut units = self.name.clone().unwrap_or_default();
        let bytes = self.name_bytes.unwrap_or((units.len() * 2) as u16);
        units.resize(0x8000, u16::from(b'x'));
        let mut view = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
        let mut quality = self.quality.map(|bytes| {
            let mut words = [0u32; 3];
            for (word, chunk) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_le_bytes(chunk.try_into().expect("four bytes"));
            }
            words
        });
        let attributes = OBJECT_ATTRIBUTES {
            Length: self.length,
            RootDirectory: self.root,
            ObjectName: if self.name.is_some() { &raw mut view } else { null_mut() },
            Attributes: self.attributes,
            SecurityDescriptor: null_mut(),
            SecurityQualityOfService: quality.as_mut().map_or(null_mut(), |words| words.as_mut_ptr().cast()),
        };
        let image = |attributes: &OBJECT_ATTRIBUTES| {
            let value = read(attributes);
            (
                value.Length,
                value.RootDirectory,
                value.ObjectName,
                value.Attributes,
                value.SecurityDescriptor,
                value.SecurityQualityOfService,
            )
        };
        let before = (image(&attributes), handles(nt), nt.KeGetCurrentIrql());
        let mut output: Object = without_provenance_mut(UNTOUCHED);
        // SAFETY: all of it lives across the call, and the name's buffer is longer than any length that is
        // given.
        let status = unsafe {
            nt.ExCreateCallback(&raw mut output, &raw const attributes, self.create, self.multiple)
        };
        assert_eq!(before, (image(&attributes), handles(nt), nt.KeGetCurrentIrql()), "what a call must keep");
        if status.is_success() {
            assert_eq!(status.0, 0, "success is exactly 0");
            Ok(output)
        } else {
            assert_eq!(output.addr(), UNTOUCHED, "the output of a failed call");
            Err(status.0)
        }
    }

    /// Calls and expects an object.
    pub(crate) fn object(&self, nt: &Nt) -> Object {
        match self.result(nt) {
            Ok(object) => object,
            Err(status) => panic!("{}: {status:08X}", nt.profile().name),
        }
    }

    /// Calls and expects a failure.
    pub(crate) fn status(&self, nt: &Nt) -> u32 {
        match self.result(nt) {
            Ok(object) => panic!("{}: {object:p}", nt.profile().name),
            Err(status) => status,
        }
    }
}
