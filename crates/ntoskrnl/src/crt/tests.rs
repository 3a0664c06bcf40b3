//! The C library through the table.

use crate::testing::{Code, Rig, at, narrow, wide};

fn sign(value: u64) -> i32 {
    (value as i32).signum()
}

#[test]
fn narrow_strings() {
    let rig = Rig::new();
    let (mut text, mut other, mut set) = (narrow("Hello"), narrow("hellp"), narrow("eHl"));
    let (t, o, s) = (at(text.as_mut_slice()), at(other.as_mut_slice()), at(set.as_mut_slice()));
    assert_eq!(rig.call("strlen", &[t]), 5);
    assert_eq!(
        (rig.call("strnlen", &[t, 3]), rig.call("strnlen", &[t, 9]), rig.call("strnlen", &[0, 9])),
        (3, 5, 0)
    );
    assert_eq!(
        (sign(rig.call("strcmp", &[t, o])), sign(rig.call("strcmp", &[o, t])), rig.call("strcmp", &[t, t])),
        (-1, 1, 0)
    );
    assert_eq!(
        (rig.call("strncmp", &[t + 1, o + 1, 3]), sign(rig.call("strncmp", &[t + 1, o + 1, 4]))),
        (0, -1)
    );
    assert_eq!((sign(rig.call("_stricmp", &[t, o])), rig.call("_strnicmp", &[t, o, 4])), (-1, 0));
    assert_eq!((rig.call("strchr", &[t, 0x6C]), rig.call("strrchr", &[t, 0x6C])), (t + 2, t + 3));
    assert_eq!((rig.call("strchr", &[t, 0]), rig.call("strchr", &[t, 0x7A])), (t + 5, 0));
    assert_eq!((rig.call("strspn", &[t, s]), rig.call("strcspn", &[t, o + 4])), (4, 5));
    let mut needle = narrow("llo");
    assert_eq!(rig.call("strstr", &[t, at(needle.as_mut_slice())]), t + 2);
    assert_eq!(rig.call("strstr", &[t, o]), 0);
    let mut buffer = [0x5Au8; 16];
    let b = at(&mut buffer);
    assert_eq!(rig.call("strcpy", &[b, t]), b);
    assert_eq!(rig.call("strcat", &[b, o]), b);
    assert_eq!(&buffer[..12], b"Hellohellp\0Z");
    rig.call("strncpy", &[b, t, 7]);
    assert_eq!(&buffer[..9], b"Hello\0\0ll", "the rest is zero");
    rig.call("strncpy", &[b, t, 2]);
    assert_eq!(&buffer[..4], b"Hell", "no terminator");
    rig.call("strncat", &[b, o, 2]);
    assert_eq!(&buffer[..8], b"Hellohe\0");
    rig.call("_strupr", &[b]);
    assert_eq!(&buffer[..8], b"HELLOHE\0");
    rig.call("_strlwr", &[b]);
    rig.call("_strrev", &[b]);
    assert_eq!(&buffer[..8], b"eholleh\0");
    rig.call("_strset", &[b, 0x2A]);
    assert_eq!(&buffer[..8], b"*******\0");
    rig.faults("strlen", &[0]);
}

#[test]
fn wide_strings() {
    let rig = Rig::new();
    let (mut text, mut other, mut set) = (wide("Hello"), wide("hellp"), wide("eHl"));
    let (t, o, s) = (at(text.as_mut_slice()), at(other.as_mut_slice()), at(set.as_mut_slice()));
    assert_eq!(rig.call("wcslen", &[t]), 5);
    assert_eq!((rig.call("wcsnlen", &[t, 3]), rig.call("wcsnlen", &[t, 9])), (3, 5));
    assert_eq!((sign(rig.call("wcscmp", &[t, o])), rig.call("wcscmp", &[t, t])), (-1, 0));
    assert_eq!(
        (rig.call("wcsncmp", &[t + 2, o + 2, 3]), sign(rig.call("wcsncmp", &[t + 2, o + 2, 4]))),
        (0, -1)
    );
    assert_eq!((sign(rig.call("_wcsicmp", &[t, o])), rig.call("_wcsnicmp", &[t, o, 4])), (-1, 0));
    assert_eq!((rig.call("wcschr", &[t, 0x6C]), rig.call("wcsrchr", &[t, 0x6C])), (t + 4, t + 6));
    assert_eq!((rig.call("wcsspn", &[t, s]), rig.call("wcscspn", &[t, o + 8])), (4, 5));
    let mut needle = wide("llo");
    assert_eq!(rig.call("wcsstr", &[t, at(needle.as_mut_slice())]), t + 4);
    let mut buffer = [0x5A5Au16; 16];
    let b = at(&mut buffer);
    rig.call("wcscpy", &[b, t]);
    rig.call("wcscat", &[b, o]);
    assert_eq!(buffer[..11], wide("Hellohellp"));
    rig.call("wcsncpy", &[b, t, 7]);
    assert_eq!(buffer[4..9], [0x6F, 0, 0, 0x6C, 0x6C]);
    rig.call("wcsncat", &[b, o, 2]);
    assert_eq!(buffer[..8], wide("Hellohe"));
    rig.call("_wcsupr", &[b]);
    assert_eq!(buffer[..8], wide("HELLOHE"));
    rig.call("_wcslwr", &[b]);
    assert_eq!(buffer[..8], wide("hellohe"));
    let mut bytes = [0x5Au8; 8];
    assert_eq!(rig.call("wcstombs", &[at(&mut bytes), b, 8]), 7);
    assert_eq!(&bytes, b"hellohe\0");
    assert_eq!(rig.call("wcstombs", &[0, b, 0]), 7);
    assert_eq!(rig.call("mbstowcs", &[t, at(&mut bytes), 4]), 4);
    assert_eq!(text[..5], [0x68, 0x65, 0x6C, 0x6C, 0x6F], "no terminator past the count");
}

#[test]
fn secure_strings() {
    let rig = Rig::new();
    let mut text = narrow("abcd");
    let t = at(text.as_mut_slice());
    let mut buffer = [0x5Au8; 8];
    let b = at(&mut buffer);
    assert_eq!(rig.call("strcpy_s", &[b, 8, t]), 0);
    assert_eq!(&buffer[..5], b"abcd\0");
    assert_eq!(rig.call("strcat_s", &[b, 8, t]), 34);
    assert_eq!(buffer[0], 0, "emptied");
    assert_eq!(rig.call("strncpy_s", &[b, 8, t, 2]), 0);
    assert_eq!(&buffer[..3], b"ab\0");
    assert_eq!(rig.call("strncat_s", &[b, 8, t, 3]), 0);
    assert_eq!(&buffer[..6], b"ababc\0");
    assert_eq!(rig.call("strncat_s", &[b, 8, t, u64::MAX]), 80, "`_TRUNCATE`");
    assert_eq!(&buffer, b"ababcab\0");
    assert_eq!(rig.call("strcpy_s", &[b, 4, t]), 34, "the terminator counts");
    assert_eq!(rig.call("strcpy_s", &[b, 4, 0]), 22);
    assert_eq!(rig.call("strcpy_s", &[0, 4, t]), 22);
    let mut text = wide("abcd");
    let t = at(text.as_mut_slice());
    let mut buffer = [0x5A5Au16; 8];
    let b = at(&mut buffer);
    assert_eq!(rig.call("wcscpy_s", &[b, 8, t]), 0);
    assert_eq!(rig.call("wcsncat_s", &[b, 8, t, 3]), 0);
    assert_eq!(buffer, *wide("abcdabc"));
    assert_eq!(rig.call("wcscat_s", &[b, 8, t]), 34);
    assert_eq!(rig.call("wcsncpy_s", &[b, 3, t, u64::MAX]), 80);
    assert_eq!(buffer[..3], *wide("ab"));
}

#[test]
fn characters() {
    let rig = Rig::new();
    for (name, inside, outside) in [
        ("isdigit", '9', 'a'),
        ("isxdigit", 'F', 'g'),
        ("isspace", '\t', 'x'),
        ("isupper", 'Q', 'q'),
        ("islower", 'q', 'Q'),
        ("isprint", '~', '\u{7F}'),
    ] {
        assert_ne!(rig.call(name, &[inside as u64]), 0, "{name}");
        assert_eq!(rig.call(name, &[outside as u64]), 0, "{name}");
        assert_eq!(rig.call(name, &[u64::from(u32::MAX)]), 0, "{name} of EOF");
    }
    assert_eq!((rig.call("tolower", &[0x41]), rig.call("toupper", &[0x7A])), (0x61, 0x5A));
    assert_eq!((rig.call("towlower", &[0x41]), rig.call("towupper", &[0xE9])), (0x61, 0xC9));
}

#[test]
fn numbers() {
    let rig = Rig::new();
    for (text, expected) in [("42", 42i64), ("  -7x", -7), ("+3", 3), ("", 0), ("4294967297", 4_294_967_297)]
    {
        let (mut n, mut w) = (narrow(text), wide(text));
        let (n, w) = (at(n.as_mut_slice()), at(w.as_mut_slice()));
        for (name, address) in [("atoi", n), ("atol", n), ("_wtoi", w), ("_wtol", w)] {
            assert_eq!(rig.call(name, &[address]) as i32, expected as i32, "{name} `{text}`");
        }
        assert_eq!(rig.call("_atoi64", &[n]) as i64, expected);
    }
    let mut buffer = [0u8; 40];
    let b = at(&mut buffer);
    for (value, radix, expected) in
        [(-42i64, 10, "-42"), (255, 16, "ff"), (-1, 16, "ffffffff"), (5, 2, "101"), (5, 1, "")]
    {
        assert_eq!(rig.call("_itoa", &[value as u64, b, radix]), b);
        assert_eq!(&buffer[..=expected.len()], narrow(expected));
    }
    let mut units = [0u16; 40];
    rig.call("_itow", &[1234, at(&mut units), 10]);
    assert_eq!(units[..5], wide("1234"));
    for (text, base, signed, unsigned, used) in [
        ("0x1Fz", 0, 31, 31u32, 4),
        ("017", 0, 15, 15, 3),
        (" -5", 10, -5, u32::MAX - 4, 3),
        ("99999999999", 10, i32::MAX, u32::MAX, 11),
        ("zz", 36, 35 * 36 + 35, 35 * 36 + 35, 2),
        ("0x", 16, 0, 0, 1),
        ("?", 10, 0, 0, 0),
    ] {
        let (mut n, mut w) = (narrow(text), wide(text));
        let (n, w) = (at(n.as_mut_slice()), at(w.as_mut_slice()));
        let mut end = 0u64;
        let e = at(&mut end);
        assert_eq!(rig.call("strtol", &[n, e, base]) as i32, signed, "`{text}`");
        assert_eq!(end - n, used, "`{text}`");
        assert_eq!(rig.call("strtoul", &[n, 0, base]) as u32, unsigned, "`{text}`");
        assert_eq!(rig.call("wcstoul", &[w, e, base]) as u32, unsigned, "`{text}`");
        assert_eq!(end - w, used * 2, "`{text}`");
    }
    rig.call("srand", &[1]);
    assert_eq!([rig.call("rand", &[]), rig.call("rand", &[]), rig.call("rand", &[])], [41, 18467, 6334]);
}

extern "win64-unwind" fn by_value(left: u64, right: u64, _: u64, _: u64) -> u64 {
    let read = |address: u64| {
        // SAFETY: `qsort` and `bsearch` hand over addresses of the test's own array or key.
        unsafe { core::ptr::with_exposed_provenance::<u32>(address as usize).read() }
    };
    (read(left).cmp(&read(right)) as i32) as u64
}

#[test]
fn sorting_and_searching() {
    let rig = Rig::new();
    let routine = by_value as Code as usize as u64;
    let mut numbers: Vec<u32> = (0..50).map(|index| index * 37 % 50).collect();
    let base = at(numbers.as_mut_slice());
    rig.call("qsort", &[base, 50, 4, routine]);
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    rig.call("qsort", &[0, 0, 4, routine]);
    let mut key = 33u32;
    assert_eq!(rig.call("bsearch", &[at(&mut key), base, 50, 4, routine]), base + 33 * 4);
    key = 77;
    assert_eq!(rig.call("bsearch", &[at(&mut key), base, 50, 4, routine]), 0);
}

#[test]
fn printing() {
    let rig = Rig::new();
    let (mut pattern, mut wide_pattern) = (narrow("%d-%s"), wide("%d-%s"));
    let (p, wp) = (at(pattern.as_mut_slice()), at(wide_pattern.as_mut_slice()));
    let (mut text, mut wide_text) = (narrow("abc"), wide("abc"));
    let mut slots = [12u64, at(text.as_mut_slice())];
    let mut wide_slots = [12u64, at(wide_text.as_mut_slice())];
    let [n, s] = slots;
    let [_, w] = wide_slots;
    let (list, wide_list) = (at(&mut slots), at(&mut wide_slots));
    let mut buffer = [0x5Au8; 8];
    let mut units = [0x5Au16; 8];
    let (b, u) = (at(&mut buffer), at(&mut units));

    assert_eq!(rig.call("sprintf", &[b, p, n, s]), 6);
    assert_eq!(&buffer, b"12-abc\0Z");
    buffer = [0x5A; 8];
    assert_eq!(rig.call("vsprintf", &[b, p, list]), 6);
    assert_eq!(&buffer, b"12-abc\0Z");
    assert_eq!(rig.call("swprintf", &[u, wp, n, w]), 6);
    assert_eq!(units[..7], wide("12-abc"));

    for (name, arguments) in [("_snprintf", vec![n, s]), ("_vsnprintf", vec![list])] {
        for (count, result, expected) in [(8, 6, b"12-abc\0Z"), (6, 6, b"12-abcZZ"), (3, -1, b"12-ZZZZZ")] {
            buffer = [0x5A; 8];
            let all: Vec<u64> = [b, count, p].into_iter().chain(arguments.clone()).collect();
            assert_eq!(rig.call(name, &all) as i32, result, "{name} {count}");
            assert_eq!(&buffer, expected, "{name} {count}");
        }
    }
    for (name, arguments) in [("_snwprintf", vec![n, w]), ("_vsnwprintf", vec![wide_list])] {
        for (count, result, kept) in [(8, 6, 7), (6, 6, 6), (3, -1, 3)] {
            units = [0x5A; 8];
            let all: Vec<u64> = [u, count, wp].into_iter().chain(arguments.clone()).collect();
            assert_eq!(rig.call(name, &all) as i32, result, "{name} {count}");
            assert_eq!(units[..kept], wide("12-abc")[..kept], "{name} {count}");
            assert_eq!(units[kept], 0x5A, "{name} {count}");
        }
    }
    for (name, arguments) in [("sprintf_s", vec![n, s]), ("vsprintf_s", vec![list])] {
        for (size, result, expected) in [(8, 6, &b"12-abc\0"[..]), (7, 6, b"12-abc\0"), (6, -1, b"\0")] {
            buffer = [0x5A; 8];
            let all: Vec<u64> = [b, size, p].into_iter().chain(arguments.clone()).collect();
            assert_eq!(rig.call(name, &all) as i32, result, "{name} {size}");
            assert_eq!(&buffer[..expected.len()], expected, "{name} {size}");
        }
    }
    for (name, arguments) in [("swprintf_s", vec![n, w]), ("vswprintf_s", vec![wide_list])] {
        let all: Vec<u64> = [u, 7, wp].into_iter().chain(arguments.clone()).collect();
        assert_eq!(rig.call(name, &all), 6, "{name}");
        assert_eq!(units[..7], wide("12-abc"), "{name}");
    }
    for (name, arguments) in [("_snprintf_s", vec![n, s]), ("_vsnprintf_s", vec![list])] {
        for (size, count, result, expected) in [
            (8, u64::MAX, 6, &b"12-abc\0"[..]),
            (5, u64::MAX, -1, b"12-a\0"),
            (8, 2, -1, b"12\0"),
            (4, 5, -1, b"\0"),
        ] {
            buffer = [0x5A; 8];
            let all: Vec<u64> = [b, size, count, p].into_iter().chain(arguments.clone()).collect();
            assert_eq!(rig.call(name, &all) as i32, result, "{name} {size} {count}");
            assert_eq!(&buffer[..expected.len()], expected, "{name} {size} {count}");
        }
    }
    for (name, arguments) in [("_snwprintf_s", vec![n, w]), ("_vsnwprintf_s", vec![wide_list])] {
        let all: Vec<u64> = [u, 5, u64::MAX, wp].into_iter().chain(arguments.clone()).collect();
        assert_eq!(rig.call(name, &all) as i32, -1, "{name}");
        assert_eq!(units[..5], wide("12-a"), "{name}");
    }
}
