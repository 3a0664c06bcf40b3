//! The one thing about a driver that ld cannot be told: that its INIT section is discardable, as the WDK's linker marks it.

use crate::Failure;

const SECTION_HEADER: usize = 40;
const CHARACTERISTICS: usize = 36;
const DISCARDABLE: u32 = 0x0200_0000;

/// Marks a section named `INIT` discardable and corrects the image's checksum. Does nothing where there is none.
///
/// # Errors
/// When the bytes are not a PE image.
pub fn discard_init(image: &mut [u8]) -> Result<(), Failure> {
    let headers = read_u32(image, 0x3C)? as usize;
    let sections = usize::from(read_u16(image, headers + 6)?);
    let table = headers + 24 + usize::from(read_u16(image, headers + 20)?);
    for section in (0..sections).map(|index| table + index * SECTION_HEADER) {
        if image.get(section..section + 8) == Some(b"INIT\0\0\0\0") {
            let flags = read_u32(image, section + CHARACTERISTICS)? | DISCARDABLE;
            write_u32(image, section + CHARACTERISTICS, flags)?;
            let field = headers + 24 + 64;
            write_u32(image, field, 0)?;
            let sum = checksum(image);
            write_u32(image, field, sum)?;
        }
    }
    Ok(())
}

/// Computes the checksum of an image whose own field is zero: 16-bit words added with their carries, plus the length.
fn checksum(image: &[u8]) -> u32 {
    let sum = image.chunks(2).fold(0_u32, |sum, word| {
        let sum = sum + u32::from(word[0]) + (u32::from(word.get(1).copied().unwrap_or(0)) << 8);
        (sum & 0xFFFF) + (sum >> 16)
    });
    sum + u32::try_from(image.len()).unwrap_or(u32::MAX)
}

fn field<const N: usize>(image: &[u8], offset: usize) -> Result<[u8; N], Failure> {
    image
        .get(offset..)
        .and_then(|rest| rest.first_chunk::<N>())
        .copied()
        .ok_or_else(|| Failure::new(format!("the image ends before offset {offset:#x}")))
}

fn read_u16(image: &[u8], offset: usize) -> Result<u16, Failure> {
    field(image, offset).map(u16::from_le_bytes)
}

fn read_u32(image: &[u8], offset: usize) -> Result<u32, Failure> {
    field(image, offset).map(u32::from_le_bytes)
}

fn write_u32(image: &mut [u8], offset: usize, value: u32) -> Result<(), Failure> {
    field::<4>(image, offset)?;
    image[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ld computes the same checksum, so every committed driver is a test vector.
    #[test]
    fn the_checksum_is_the_linkers() {
        let mut image =
            crate::read(&crate::root().join("drivers/bin/listener.sys")).expect("listener is bundled");
        let headers = read_u32(&image, 0x3C).expect("a PE image") as usize;
        let linked = read_u32(&image, headers + 88).expect("an optional header");
        write_u32(&mut image, headers + 88, 0).expect("an optional header");
        assert_eq!(checksum(&image), linked);
    }
}
