//! What differs between the kernels that can be imitated.

/// A generation of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// Windows 7: small objects, no global list, plain type indexes, protected pool tag.
    Seven,
    /// Windows 8: as before, but with the plain pool tag.
    Eight,
    /// Windows 8.1: large objects on a global list.
    EightOne,
    /// Windows 10 22H2: type indexes mixed with a cookie, names hashed four characters at a time.
    Ten,
    /// Windows 11 24H2.
    TwentyFourH2,
}

impl Era {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Seven, Self::Eight, Self::EightOne, Self::Ten, Self::TwentyFourH2];

    /// Short name of the profile that describes it.
    #[must_use]
    pub fn profile(self) -> &'static str {
        match self {
            Self::Seven => "nt6",
            Self::Eight => "win8",
            Self::EightOne => "win81",
            Self::Ten => "win10",
            Self::TwentyFourH2 => "win11-24h2",
        }
    }

    /// Build number.
    #[must_use]
    pub fn build(self) -> u32 {
        match self {
            Self::Seven => 7601,
            Self::Eight => 9200,
            Self::EightOne => 9600,
            Self::Ten => 19045,
            Self::TwentyFourH2 => 26100,
        }
    }

    /// Bytes of a callback object.
    #[must_use]
    pub fn object_size(self) -> u64 {
        if self.has_list() { 0x38 } else { 0x28 }
    }

    /// There is a list of all callback objects.
    #[must_use]
    pub fn has_list(self) -> bool {
        !matches!(self, Self::Seven | Self::Eight)
    }

    /// Pool tag of callback objects.
    #[must_use]
    pub fn tag(self) -> [u8; 4] {
        if self == Self::Seven { *b"Cal\xEC" } else { *b"Call" }
    }

    /// Cookie that type indexes are mixed with.
    #[must_use]
    pub fn cookie(self) -> Option<u8> {
        matches!(self, Self::Ten | Self::TwentyFourH2).then_some(0x5C)
    }

    /// Names are hashed four characters at a time.
    #[must_use]
    pub fn hashes_four(self) -> bool {
        matches!(self, Self::Ten | Self::TwentyFourH2)
    }

    /// Bytes of an object directory.
    #[must_use]
    pub fn directory_size(self) -> u64 {
        if matches!(self, Self::Ten | Self::TwentyFourH2) { 0x158 } else { 0x150 }
    }

    /// Names that the kernel creates, in order.
    #[must_use]
    pub fn built_in(self) -> &'static [&'static str] {
        match self {
            Self::Seven => &["SetSystemTime", "SetSystemState", "PowerState", "ProcessorAdd"],
            Self::TwentyFourH2 => &[
                "EnlightenmentState",
                "SetSystemTime",
                "SetSystemState",
                "PowerState",
                "ProcessorAdd",
                "Phase1InitComplete",
                "SeImageVerificationDriverInfo",
                "SeImageVerificationBlockInfo",
            ],
            _ => &[
                "EnlightenmentState",
                "SetSystemTime",
                "SetSystemState",
                "PowerState",
                "ProcessorAdd",
                "Phase1InitComplete",
                "SeImageVerificationDriverInfo",
            ],
        }
    }

    /// Major and minor version.
    #[must_use]
    pub fn version(self) -> (u32, u32) {
        match self {
            Self::Seven => (6, 1),
            Self::Eight => (6, 2),
            Self::EightOne => (6, 3),
            Self::Ten | Self::TwentyFourH2 => (10, 0),
        }
    }

    /// Pool blocks come as they are, so padding keeps what was there before.
    #[must_use]
    pub fn leaves_garbage(self) -> bool {
        self != Self::TwentyFourH2
    }

    /// Computes the hash of a name, without any table but that of the ASCII letters.
    #[must_use]
    pub fn hash(self, name: &str) -> u32 {
        let units: Vec<u16> = name.encode_utf16().map(upper).collect();
        let mut rest = units.as_slice();
        let mut hash: u32 = 0;
        if self.hashes_four() {
            let mut wide: u64 = 0;
            while rest.len() >= 4 {
                let mut quad = 0;
                for (index, unit) in rest[..4].iter().enumerate() {
                    quad |= u64::from(*unit) << (16 * index);
                }
                if rest[..4].iter().all(|unit| *unit < 0x80) {
                    quad &= 0xFFDF_FFDF_FFDF_FFDF;
                }
                wide = wide.wrapping_mul(3).wrapping_add(wide >> 1).wrapping_add(quad);
                rest = &rest[4..];
            }
            hash = (wide as u32).wrapping_add((wide >> 32) as u32);
        }
        for unit in rest {
            hash = hash.wrapping_mul(3).wrapping_add(hash >> 1).wrapping_add(u32::from(*unit));
        }
        hash
    }
}

fn upper(unit: u16) -> u16 {
    if (0x61..=0x7A).contains(&unit) { unit - 0x20 } else { unit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        assert_eq!(Era::EightOne.hash("Callback"), 0x0009_39C4);
        assert_eq!(Era::EightOne.hash("powerstate"), 0x0086_AF0B);
        assert_eq!(Era::Ten.hash("Callback"), 0x0279_8279);
        assert_eq!(Era::Ten.hash("SeImageVerificationDriverInfo"), 0xE889_65FA);
        assert_eq!(Era::Ten.hash("AB"), 0x0000_0125);
    }
}
