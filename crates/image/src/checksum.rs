//! The image checksum: what `CheckSumMappedFile` computes and the kernel compares for drivers.

/// What the `CheckSum` field of the optional header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checksum {
    /// The linker wrote none. Windows accepts that when it verifies a signature instead.
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
    let mut sum = 0_u32;
    let mut offset = 0_u64;
    for pair in bytes.chunks(2) {
        let word = match (pair, offset.wrapping_sub(field)) {
            // The field is word-aligned in every image whose headers are.
            (_, 0 | 2) => 0,
            ([low, high], _) => u32::from(u16::from_le_bytes([*low, *high])),
            ([low], _) => u32::from(*low),
            _ => 0,
        };
        sum += word;
        sum = (sum & 0xffff) + (sum >> 16);
        offset += 2;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    // Truncation is the algorithm: the length is added modulo 2^32.
    sum.wrapping_add(bytes.len() as u32)
}
