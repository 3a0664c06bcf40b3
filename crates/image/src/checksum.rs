//! The image checksum: what `CheckSumMappedFile` computes. Microsoft's "PE Format" says that it is validated at load
//! time for all drivers; here it is a fact for the user and refuses nothing.

/// What the `CheckSum` field of the optional header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// The linker wrote none.
    Absent,
    /// It agrees with the file.
    Valid(u32),
    /// It does not: the file was changed after it was linked.
    Mismatch {
        /// What the header says.
        stored: u32,
        /// What the file gives.
        computed: u32,
    },
}

impl Checksum {
    pub(crate) fn of(bytes: &[u8], offset: u64, stored: u32) -> Checksum {
        if stored == 0 {
            return Checksum::Absent;
        }
        let computed = compute(bytes, offset);
        if computed == stored { Checksum::Valid(stored) } else { Checksum::Mismatch { stored, computed } }
    }
}

/// Adds up the file as 16-bit words with the carry folded in, the checksum field itself left out, and then the
/// file's length.
fn compute(bytes: &[u8], field: u64) -> u32 {
    // The headers were read, so the field is in the file.
    let field = (field as usize).min(bytes.len());
    let (before, rest) = bytes.split_at(field);
    let mut sum = words(before) + words(rest.get(4..).unwrap_or(&[]));
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Truncation is the algorithm: the length is added modulo 2^32.
    (sum as u32).wrapping_add(bytes.len() as u32)
}

/// Returns a number that folds to the same 16 bits as the sum of the words: 32-bit words give the same remainder
/// modulo 0xffff, and a sum of 2^32 of them fits.
fn words(bytes: &[u8]) -> u64 {
    let mut chunks = bytes.chunks_exact(4);
    let whole: u64 =
        chunks.by_ref().map(|word| u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]]))).sum();
    let mut last = [0; 4];
    let rest = chunks.remainder();
    last[..rest.len()].copy_from_slice(rest);
    whole + u64::from(u32::from_le_bytes(last))
}
