//! The name hash against values computed by hand from the algorithm's description.

use ringbell_nt::hash::{NameHash, fast4_ascii, names_equal, per_char_ascii, upcase};

/// Name, hash and bucket one character at a time, hash and bucket four at a time.
const VALUES: &[(&str, u32, usize, u32, usize)] = &[
    ("Callback", 0x0009_39C4, 32, 0x0279_8279, 26),
    ("PowerState", 0x0086_AF0B, 26, 0xBFDE_A54E, 13),
    ("SetSystemTime", 0x1695_DF28, 7, 0x22EE_A689, 12),
    ("SetSystemState", 0x4F0C_8E49, 27, 0x79A4_07E1, 4),
    ("ProcessorAdd", 0x0673_C6C6, 33, 0x49DD_4A45, 13),
    ("EnlightenmentState", 0xF09F_D307, 23, 0xA97F_1E21, 1),
    ("Phase1InitComplete", 0xECA1_2725, 29, 0x4020_54CA, 27),
    ("SeImageVerificationDriverInfo", 0xF90C_D99E, 33, 0xE889_65FA, 22),
    ("AB", 0x0000_0125, 34, 0x0000_0125, 34),
];

fn utf16(text: &str) -> Vec<u16> {
    text.encode_utf16().collect()
}

#[test]
fn hash_values_match_the_published_table() {
    for &(name, slow, slow_bucket, fast, fast_bucket) in VALUES {
        for spelling in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
            let units = utf16(&spelling);
            assert_eq!(NameHash::PerChar.hash(&units), slow, "{spelling}");
            assert_eq!(NameHash::PerChar.bucket(&units), slow_bucket, "{spelling}");
            assert_eq!(NameHash::Fast4.hash(&units), fast, "{spelling}");
            assert_eq!(NameHash::Fast4.bucket(&units), fast_bucket, "{spelling}");
            assert_eq!(per_char_ascii(&spelling), slow, "{spelling}");
            assert_eq!(fast4_ascii(&spelling), fast, "{spelling}");
        }
    }
}

#[test]
fn hash_variants_agree_below_four_characters_only() {
    for name in ["", "A", "ab", "Abc"] {
        assert_eq!(NameHash::PerChar.hash(&utf16(name)), NameHash::Fast4.hash(&utf16(name)), "{name:?}");
    }
    assert_ne!(NameHash::PerChar.hash(&utf16("Abcd")), NameHash::Fast4.hash(&utf16("Abcd")));
}

#[test]
fn hash_ignores_case_beyond_ascii() {
    for variant in [NameHash::PerChar, NameHash::Fast4] {
        for (lower, upper) in [("größe", "GRÖßE"), ("äöüé", "ÄÖÜÉ"), ("жук", "ЖУК"), ("ñandú…", "ÑANDÚ…")]
        {
            assert_eq!(variant.hash(&utf16(lower)), variant.hash(&utf16(upper)), "{lower}");
        }
    }
}

#[test]
fn upcase_maps_one_unit_to_one_unit() {
    assert_eq!(upcase(u16::from(b'a')), u16::from(b'A'));
    assert_eq!(upcase(u16::from(b'{')), u16::from(b'{'));
    assert_eq!(upcase(0x00E9), 0x00C9, "é");
    assert_eq!(upcase(0x00DF), 0x00DF, "ß would become two letters");
    assert_eq!(upcase(0xD83D), 0xD83D, "half of a surrogate pair");
    for unit in 0..=u16::MAX {
        assert_eq!(upcase(upcase(unit)), upcase(unit), "upper case of {unit:#06x} is not stable");
    }
}

#[test]
fn names_compare_with_and_without_case() {
    let (left, right) = (utf16("CallBack"), utf16("Callback"));
    assert!(names_equal(&left, &right, true));
    assert!(!names_equal(&left, &right, false));
    assert!(names_equal(&left, &left, false));
    assert!(!names_equal(&left, &left[1..], true));
}
