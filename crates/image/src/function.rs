//! The function table (`.pdata`): where functions begin and end.
//!
//! Every x64 function that touches the stack has a `RUNTIME_FUNCTION` here, sorted by address. Parts of one function
//! (cold code that the compiler moved away) are chained: their unwind data names the entry they belong to. What the
//! unwind data says is read by [`unwind`](crate::unwind).

use object::LittleEndian as LE;
use object::pe;

use crate::error::ImageError;
use crate::image::Image;
use crate::unwind::MAX_CHAIN;

/// Bytes of a `RUNTIME_FUNCTION`.
const ENTRY: u32 = size_of::<pe::ImageRuntimeFunctionEntry>() as u32;
/// `RUNTIME_FUNCTION_INDIRECT`: the entry only points to another one.
pub(crate) const INDIRECT: u32 = 1;

/// One entry of the function table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RuntimeFunction {
    /// RVA of the first instruction.
    pub begin: u32,
    /// RVA behind the last instruction.
    pub end: u32,
    /// RVA of the unwind data; the lowest bit marks an entry that only points to another.
    pub unwind: u32,
}

impl RuntimeFunction {
    /// Whether an RVA lies in the function.
    pub fn contains(self, rva: u32) -> bool {
        self.begin <= rva && rva < self.end
    }

    pub(crate) fn from_raw(raw: &pe::ImageRuntimeFunctionEntry) -> RuntimeFunction {
        RuntimeFunction {
            begin: raw.begin_address.get(LE),
            end: raw.end_address.get(LE),
            unwind: raw.unwind_info_address_or_data.get(LE),
        }
    }
}

/// The function table of an image.
#[derive(Debug, Clone)]
pub struct FunctionTable<'a> {
    pub(crate) image: Image<'a>,
    rva: u32,
    entries: &'a [pe::ImageRuntimeFunctionEntry],
    sorted: bool,
}

impl<'a> Image<'a> {
    /// Returns the function table; it is empty when the image has none.
    ///
    /// # Errors
    ///
    /// [`ImageError::Directory`] when it is not in the file.
    pub fn functions(&self) -> Result<FunctionTable<'a>, ImageError> {
        let directory = self.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION).unwrap_or_default();
        let (rva, size) = (directory.rva, directory.size - directory.size % ENTRY);
        let outside = ImageError::Directory { what: "function table", rva, size };
        let bytes = if size == 0 { &[] } else { self.file_bytes(rva, size).ok_or(outside)? };
        // Cannot fail: the length is a multiple of the entry's size and its alignment is one.
        let entries = object::pod::slice_from_all_bytes(bytes).unwrap_or(&[]);
        let mut table = FunctionTable { image: self.clone(), rva, entries, sorted: false };
        table.sorted = table.iter().zip(table.iter().skip(1)).all(|(left, right)| left.end <= right.begin)
            && table.iter().all(|function| function.begin < function.end);
        Ok(table)
    }
}

impl FunctionTable<'_> {
    /// Returns the number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether the image has no function table.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the entries ascend without overlap, as Windows' binary search needs.
    pub fn is_sorted(&self) -> bool {
        self.sorted
    }

    /// Returns the entries, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = RuntimeFunction> {
        self.entries.iter().map(RuntimeFunction::from_raw)
    }

    /// Returns the entry that covers an RVA, or `None` in a leaf function and outside code.
    ///
    /// A table that is not sorted is searched from its start.
    pub fn lookup(&self, rva: u32) -> Option<RuntimeFunction> {
        if !self.sorted {
            return self.iter().find(|function| function.contains(rva));
        }
        let index =
            self.entries.partition_point(|entry| entry.begin_address.get(LE) <= rva).checked_sub(1)?;
        self.entries.get(index).map(RuntimeFunction::from_raw).filter(|function| function.contains(rva))
    }

    /// Returns the RVA of the entry that covers an RVA, for those who look at it in memory. `None` as for
    /// [`lookup`](Self::lookup).
    pub fn entry_rva(&self, rva: u32) -> Option<u32> {
        let index = if self.sorted {
            self.entries.partition_point(|entry| entry.begin_address.get(LE) <= rva).checked_sub(1)?
        } else {
            self.iter().position(|function| function.contains(rva))?
        };
        let entry = self.entries.get(index).map(RuntimeFunction::from_raw)?;
        // The table lies in the image, so this fits.
        entry.contains(rva).then(|| self.rva + index as u32 * ENTRY)
    }

    /// Returns the entry of the whole function that a part belongs to; the part itself when it is not chained, or
    /// when its chain is broken.
    pub fn primary(&self, part: RuntimeFunction) -> RuntimeFunction {
        let mut current = part;
        for _ in 0..MAX_CHAIN {
            match self.chained(current) {
                Ok(Some(next)) => current = next,
                Ok(None) => return current,
                Err(()) => break,
            }
        }
        part
    }

    fn chained(&self, function: RuntimeFunction) -> Result<Option<RuntimeFunction>, ()> {
        let at = if function.unwind & INDIRECT != 0 {
            function.unwind & !INDIRECT
        } else {
            return self.unwind_info(function).map(|info| info.chained()).map_err(drop);
        };
        let raw: pe::ImageRuntimeFunctionEntry = self.image.structure(at).ok_or(())?;
        Ok(Some(RuntimeFunction::from_raw(&raw)))
    }
}
