//! `Rtl` through the table.

use nt::{BugCheck, Profile, RTL_OSVERSIONINFOEXW, STRING, UNICODE_STRING};

use crate::testing::{Rig, Wide, at, narrow, poke, wide};

const SUCCESS: u64 = 0;
const INVALID_PARAMETER: u64 = nt::STATUS_INVALID_PARAMETER.0 as u64;
const BUFFER_OVERFLOW: u64 = nt::STATUS_BUFFER_OVERFLOW.0 as u64;
const BUFFER_TOO_SMALL: u64 = nt::STATUS_BUFFER_TOO_SMALL.0 as u64;
const TRUE: u64 = 1;
const FALSE: u64 = 0;

fn ansi(text: &mut Vec<u8>, maximum: u16) -> STRING {
    text.as_mut_ptr().expose_provenance();
    STRING { Length: text.len() as u16, MaximumLength: maximum, Buffer: text.as_mut_ptr() }
}

#[test]
fn init_describes_the_text() {
    let rig = Rig::new();
    let mut string = UNICODE_STRING { Length: 9, MaximumLength: 9, Buffer: core::ptr::null_mut() };
    let mut text = wide("abc");
    rig.call("RtlInitUnicodeString", &[at(&mut string), at(text.as_mut_slice())]);
    assert_eq!((string.Length, string.MaximumLength, string.Buffer), (6, 8, text.as_mut_ptr()));
    rig.call("RtlInitUnicodeString", &[at(&mut string), 0]);
    assert_eq!((string.Length, string.MaximumLength, string.Buffer), (0, 0, core::ptr::null_mut()));

    let mut long = wide(&"x".repeat(0x8001));
    rig.call("RtlInitUnicodeString", &[at(&mut string), at(long.as_mut_slice())]);
    assert_eq!((string.Length, string.MaximumLength), (0xFFFC, 0xFFFE), "cut");
    let status = rig.call("RtlInitUnicodeStringEx", &[at(&mut string), at(long.as_mut_slice())]);
    assert_eq!(status, u64::from(nt::STATUS_NAME_TOO_LONG.0));
    assert_eq!(rig.call("RtlInitUnicodeStringEx", &[at(&mut string), at(text.as_mut_slice())]), SUCCESS);
    assert_eq!(string.Length, 6);

    let mut narrow_text = narrow("abcd");
    let mut narrow_string = STRING::EMPTY;
    for name in ["RtlInitAnsiString", "RtlInitString"] {
        rig.call(name, &[at(&mut narrow_string), at(narrow_text.as_mut_slice())]);
        assert_eq!((narrow_string.Length, narrow_string.MaximumLength), (4, 5), "{name}");
        rig.call(name, &[at(&mut narrow_string), 0]);
        assert_eq!((narrow_string.Length, narrow_string.MaximumLength), (0, 0), "{name}");
    }
}

#[test]
fn a_bad_address_is_a_bugcheck_in_the_callers_name() {
    let rig = Rig::new();
    let check = rig.bugcheck("RtlInitUnicodeString", &[0x10, 0]);
    // User memory: an exception, which a driver may handle.
    assert_eq!(check.code, BugCheck::KMODE_EXCEPTION_NOT_HANDLED);
    assert_eq!(check.parameters, [0xC000_0005, crate::testing::RETURN_ADDRESS, 0, 0x10]);
    rig.call("KfRaiseIrql", &[2]);
    let check = rig.bugcheck("RtlInitUnicodeString", &[0x10, 0]);
    assert_eq!(check.code, BugCheck::PAGE_FAULT_IN_NONPAGED_AREA, "not at DISPATCH_LEVEL");
    assert_eq!(check.parameters, [0x10, 0, crate::testing::RETURN_ADDRESS, 0]);
    rig.call("KfLowerIrql", &[0]);
    let mut string = UNICODE_STRING::EMPTY;
    // A text that runs into memory that is not the guest's: the page behind it is forbidden.
    let mut text = vec![0x41u16; 0x2000];
    let start = at(text.as_mut_slice());
    let edge = (start + 0x1000) & !0xFFF;
    rig.host.forbidden.set((edge, edge + 0x1000));
    rig.faults("RtlInitUnicodeString", &[at(&mut string), start]);
    rig.faults("RtlZeroMemory", &[start, 0x4000]);
    assert!(text.iter().all(|unit| *unit == 0x41), "nothing was written");
}

#[test]
fn copying_cuts_and_terminates() {
    let rig = Rig::new();
    let mut source = Wide::new("callback");
    let mut roomy = Wide::with_room("", 12);
    rig.call("RtlCopyUnicodeString", &[roomy.at(), source.at()]);
    assert_eq!(roomy.text(), "callback");
    assert_eq!(roomy.units[8], 0, "terminated where there is room");
    let mut tight = Wide::with_room("", 4);
    rig.call("RtlCopyUnicodeString", &[tight.at(), source.at()]);
    assert_eq!(tight.text(), "call");
    rig.call("RtlCopyUnicodeString", &[tight.at(), 0]);
    assert_eq!(tight.string.Length, 0);

    let (mut from, mut to) = (b"ansi".to_vec(), vec![0x5A; 6]);
    let mut source = ansi(&mut from, 4);
    let mut target = ansi(&mut to, 6);
    rig.call("RtlCopyString", &[at(&mut target), at(&mut source)]);
    assert_eq!((target.Length, to.as_slice()), (4, &b"ansiZZ"[..]), "no terminator");
    target.MaximumLength = 2;
    rig.call("RtlCopyString", &[at(&mut target), at(&mut source)]);
    assert_eq!(target.Length, 2);
    rig.call("RtlCopyString", &[at(&mut target), 0]);
    assert_eq!(target.Length, 0);
}

#[test]
fn appending_is_all_or_nothing() {
    let rig = Rig::new();
    let mut path = Wide::with_room(r"\Callback", 16);
    let mut name = Wide::new(r"\Power");
    assert_eq!(rig.call("RtlAppendUnicodeStringToString", &[path.at(), name.at()]), SUCCESS);
    assert_eq!(path.text(), r"\Callback\Power");
    assert_eq!(path.units[15], 0);
    assert_eq!(rig.call("RtlAppendUnicodeStringToString", &[path.at(), name.at()]), BUFFER_TOO_SMALL);
    assert_eq!(path.text(), r"\Callback\Power");
    let mut one = wide("X");
    assert_eq!(rig.call("RtlAppendUnicodeToString", &[path.at(), at(one.as_mut_slice())]), SUCCESS);
    assert_eq!(path.text(), r"\Callback\PowerX");
    assert_eq!(rig.call("RtlAppendUnicodeToString", &[path.at(), 0]), SUCCESS);
    assert_eq!(rig.call("RtlAppendUnicodeToString", &[path.at(), at(one.as_mut_slice())]), BUFFER_TOO_SMALL);

    let mut buffer = b"ab      ".to_vec();
    let mut target = ansi(&mut buffer, 8);
    target.Length = 2;
    let mut tail = b"cd".to_vec();
    let mut source = ansi(&mut tail, 2);
    assert_eq!(rig.call("RtlAppendStringToString", &[at(&mut target), at(&mut source)]), SUCCESS);
    let mut terminated = narrow("efgh");
    assert_eq!(
        rig.call("RtlAppendAsciizToString", &[at(&mut target), at(terminated.as_mut_slice())]),
        SUCCESS
    );
    assert_eq!(rig.call("RtlAppendAsciizToString", &[at(&mut target), 0]), SUCCESS);
    assert_eq!((target.Length, buffer.as_slice()), (8, &b"abcdefgh"[..]));
    assert_eq!(rig.call("RtlAppendStringToString", &[at(&mut target), at(&mut source)]), BUFFER_TOO_SMALL);
}

#[test]
fn comparing_orders_by_character_then_length() {
    let rig = Rig::new();
    let (mut a, mut b, mut upper, mut longer) =
        (Wide::new("alpha"), Wide::new("alphb"), Wide::new("ALPHA"), Wide::new("alphabet"));
    let order = |left: &mut Wide, right: &mut Wide, insensitive| {
        rig.call("RtlCompareUnicodeString", &[left.at(), right.at(), insensitive]) as i32
    };
    assert_eq!(order(&mut a, &mut b, FALSE), -1);
    assert_eq!(order(&mut b, &mut a, FALSE), 1);
    assert_eq!(order(&mut a, &mut upper, FALSE), 0x20);
    assert_eq!(order(&mut a, &mut upper, TRUE), 0);
    assert_eq!(order(&mut a, &mut longer, FALSE), -6, "bytes");
    assert_eq!(rig.call("RtlEqualUnicodeString", &[a.at(), upper.at(), TRUE]), TRUE);
    assert_eq!(rig.call("RtlEqualUnicodeString", &[a.at(), upper.at(), FALSE]), FALSE);
    assert_eq!(rig.call("RtlEqualUnicodeString", &[a.at(), longer.at(), TRUE]), FALSE);
    assert_eq!(rig.call("RtlPrefixUnicodeString", &[upper.at(), longer.at(), TRUE]), TRUE);
    assert_eq!(rig.call("RtlPrefixUnicodeString", &[upper.at(), longer.at(), FALSE]), FALSE);
    assert_eq!(rig.call("RtlPrefixUnicodeString", &[longer.at(), a.at(), TRUE]), FALSE);
    let raw = [a.string.Buffer as u64, 5, upper.string.Buffer as u64, 5, TRUE];
    assert_eq!(rig.call("RtlCompareUnicodeStrings", &raw), 0);
    let shorter = [a.string.Buffer as u64, 4, upper.string.Buffer as u64, 5, TRUE];
    assert!((rig.call("RtlCompareUnicodeStrings", &shorter) as i32) < 0);

    let (mut left, mut right, mut front) = (b"Alpha".to_vec(), b"alpha".to_vec(), b"al".to_vec());
    let (mut left, mut right, mut front) = (ansi(&mut left, 5), ansi(&mut right, 5), ansi(&mut front, 2));
    let (left, right, front) = (at(&mut left), at(&mut right), at(&mut front));
    assert_eq!(rig.call("RtlCompareString", &[left, right, FALSE]) as i32, -0x20);
    assert_eq!(rig.call("RtlCompareString", &[left, right, TRUE]), 0);
    assert_eq!(rig.call("RtlEqualString", &[left, right, TRUE]), TRUE);
    assert_eq!(rig.call("RtlPrefixString", &[front, left, TRUE]), TRUE);
    assert_eq!(rig.call("RtlPrefixString", &[front, left, FALSE]), FALSE);
}

#[test]
fn case() {
    let rig = Rig::new();
    assert_eq!(rig.call("RtlUpcaseUnicodeChar", &[u64::from(b'a')]), u64::from(b'A'));
    assert_eq!(rig.call("RtlUpcaseUnicodeChar", &[0xE9]), 0xC9);
    assert_eq!(rig.call("RtlDowncaseUnicodeChar", &[0xC9]), 0xE9);
    assert_eq!(rig.call("RtlDowncaseUnicodeChar", &[u64::from(b'1')]), u64::from(b'1'));
    assert_eq!(rig.call("RtlUpperChar", &[u64::from(b'z')]), u64::from(b'Z'));
    let mut source = Wide::new("MiXed \u{E9}");
    let mut target = Wide::with_room("", 7);
    assert_eq!(rig.call("RtlUpcaseUnicodeString", &[target.at(), source.at(), FALSE]), SUCCESS);
    assert_eq!(target.text(), "MIXED \u{C9}");
    assert_eq!(rig.call("RtlDowncaseUnicodeString", &[target.at(), source.at(), FALSE]), SUCCESS);
    assert_eq!(target.text(), "mixed \u{E9}");
    let mut tight = Wide::with_room("", 3);
    assert_eq!(rig.call("RtlUpcaseUnicodeString", &[tight.at(), source.at(), FALSE]), BUFFER_OVERFLOW);
    let (mut from, mut to) = (b"up".to_vec(), vec![0; 4]);
    let (mut from, mut to_string) = (ansi(&mut from, 2), ansi(&mut to, 4));
    rig.call("RtlUpperString", &[at(&mut to_string), at(&mut from)]);
    assert_eq!((to_string.Length, &to[..2]), (2, &b"UP"[..]));
}

#[test]
fn allocated_strings_are_freed() {
    let rig = Rig::new();
    let before = rig.kernel.executive().pool_blocks().len();
    let mut text = wide("hello");
    let mut string = Wide::new("");
    assert_eq!(rig.call("RtlCreateUnicodeString", &[string.at(), at(text.as_mut_slice())]), TRUE);
    assert_eq!((string.text().as_str(), string.string.MaximumLength), ("hello", 12));
    let mut copy = Wide::new("");
    assert_eq!(rig.call("RtlDuplicateUnicodeString", &[1, string.at(), copy.at()]), SUCCESS);
    assert_eq!((copy.text().as_str(), copy.string.MaximumLength), ("hello", 12));
    let mut upper = Wide::new("");
    assert_eq!(rig.call("RtlUpcaseUnicodeString", &[upper.at(), copy.at(), TRUE]), SUCCESS);
    assert_eq!((upper.text().as_str(), upper.string.MaximumLength), ("HELLO", 10));
    let mut narrowed = STRING::EMPTY;
    assert_eq!(rig.call("RtlUnicodeStringToAnsiString", &[at(&mut narrowed), upper.at(), TRUE]), SUCCESS);
    assert_eq!((narrowed.Length, narrowed.MaximumLength), (5, 6));
    let mut widened = Wide::new("");
    assert_eq!(rig.call("RtlAnsiStringToUnicodeString", &[widened.at(), at(&mut narrowed), TRUE]), SUCCESS);
    assert_eq!((widened.text().as_str(), widened.string.MaximumLength), ("HELLO", 12));
    assert_eq!(rig.kernel.executive().pool_blocks().len(), before + 5);
    for string in [&mut string, &mut copy, &mut upper, &mut widened] {
        rig.call("RtlFreeUnicodeString", &[string.at()]);
        assert!(string.string.Buffer.is_null());
        rig.call("RtlFreeUnicodeString", &[string.at()]);
    }
    rig.call("RtlFreeAnsiString", &[at(&mut narrowed)]);
    assert_eq!(narrowed.MaximumLength, 0);
    assert_eq!(rig.kernel.executive().pool_blocks().len(), before);

    rig.refuse_allocations(true);
    assert_eq!(rig.call("RtlCreateUnicodeString", &[string.at(), at(text.as_mut_slice())]), FALSE);
    let status = rig.call("RtlUpcaseUnicodeString", &[string.at(), upper.at(), TRUE]);
    assert_eq!(status, u64::from(nt::STATUS_NO_MEMORY.0));
    rig.refuse_allocations(false);
    assert_eq!(rig.call("RtlDuplicateUnicodeString", &[2, upper.at(), copy.at()]), INVALID_PARAMETER);
    assert_eq!(rig.call("RtlDuplicateUnicodeString", &[0, upper.at(), copy.at()]), SUCCESS);
    assert!(copy.string.Buffer.is_null(), "an empty string needs no buffer");
}

#[test]
fn hashing() {
    let rig = Rig::new();
    let (mut lower, mut upper) = (Wide::new("ab"), Wide::new("AB"));
    let (mut first, mut second) = (0u32, 0u32);
    assert_eq!(rig.call("RtlHashUnicodeString", &[lower.at(), FALSE, 0, at(&mut first)]), SUCCESS);
    assert_eq!(first, 97 * 65599 + 98);
    assert_eq!(rig.call("RtlHashUnicodeString", &[lower.at(), TRUE, 1, at(&mut first)]), SUCCESS);
    assert_eq!(rig.call("RtlHashUnicodeString", &[upper.at(), FALSE, 1, at(&mut second)]), SUCCESS);
    assert_eq!(first, second);
    assert_eq!(rig.call("RtlHashUnicodeString", &[upper.at(), FALSE, 2, at(&mut second)]), INVALID_PARAMETER);
}

#[test]
fn code_page_conversions() {
    let rig = Rig::new();
    let mut bytes = vec![b'a', 0x80, 0xE9];
    let mut source = ansi(&mut bytes, 3);
    let mut target = Wide::with_room("", 4);
    assert_eq!(rig.call("RtlAnsiStringToUnicodeString", &[target.at(), at(&mut source), FALSE]), SUCCESS);
    assert_eq!(target.text(), "a\u{20AC}\u{E9}");
    let mut tight = Wide::with_room("", 3);
    let status = rig.call("RtlAnsiStringToUnicodeString", &[tight.at(), at(&mut source), FALSE]);
    assert_eq!(status, BUFFER_OVERFLOW, "the terminator counts");
    assert_eq!(rig.call("RtlxAnsiStringToUnicodeSize", &[at(&mut source)]), 8);
    assert_eq!(rig.call("RtlxUnicodeStringToAnsiSize", &[target.at()]), 4);

    let mut small = vec![0x5A; 3];
    let mut cut = ansi(&mut small, 3);
    assert_eq!(
        rig.call("RtlUnicodeStringToAnsiString", &[at(&mut cut), target.at(), FALSE]),
        BUFFER_OVERFLOW
    );
    assert_eq!((cut.Length, small.as_slice()), (2, &[b'a', 0x80, 0][..]));

    let mut written = 0u32;
    let mut units = [0u16; 4];
    let arguments = [at(&mut units), 4, at(&mut written), source.Buffer as u64, 3];
    assert_eq!(rig.call("RtlMultiByteToUnicodeN", &arguments), SUCCESS);
    assert_eq!((written, units), (4, [0x61, 0x20AC, 0, 0]));
    let mut back = [0u8; 4];
    let arguments = [at(&mut back), 4, at(&mut written), at(&mut units), 4];
    assert_eq!(rig.call("RtlUnicodeToMultiByteN", &arguments), SUCCESS);
    assert_eq!((written, back), (2, [b'a', 0x80, 0, 0]));
    assert_eq!(rig.call("RtlUnicodeToMultiByteSize", &[at(&mut written), at(&mut units), 8]), SUCCESS);
    assert_eq!(written, 4);
    assert_eq!(rig.call("RtlMultiByteToUnicodeSize", &[at(&mut written), at(&mut back), 4]), SUCCESS);
    assert_eq!(written, 8);
}

#[test]
fn utf8_conversions() {
    let rig = Rig::new();
    let mut text = "a\u{E9}\u{1F514}".as_bytes().to_vec();
    let length = text.len() as u64;
    let mut units = [0u16; 8];
    let mut written = 0u32;
    let source = at(text.as_mut_slice());
    assert_eq!(
        rig.call("RtlUTF8ToUnicodeN", &[at(&mut units), 16, at(&mut written), source, length]),
        SUCCESS
    );
    assert_eq!((written, &units[..4]), (8, &[0x61, 0xE9, 0xD83D, 0xDD14][..]));
    assert_eq!(rig.call("RtlUTF8ToUnicodeN", &[0, 0, at(&mut written), source, length]), SUCCESS);
    assert_eq!(written, 8);
    let status = rig.call("RtlUTF8ToUnicodeN", &[at(&mut units), 6, at(&mut written), source, length]);
    assert_eq!((status, written), (BUFFER_TOO_SMALL, 4), "no half character");
    let mut back = [0u8; 8];
    assert_eq!(
        rig.call("RtlUnicodeToUTF8N", &[at(&mut back), 8, at(&mut written), at(&mut units), 8]),
        SUCCESS
    );
    assert_eq!(&back[..written as usize], text.as_slice());
    let mut lone = [0xD800u16];
    let status = rig.call("RtlUnicodeToUTF8N", &[at(&mut back), 8, at(&mut written), at(&mut lone), 2]);
    assert_eq!((status, &back[..3]), (u64::from(nt::STATUS_SOME_NOT_MAPPED.0), &[0xEF, 0xBF, 0xBD][..]));
}

#[test]
fn numbers() {
    let rig = Rig::new();
    let mut string = Wide::with_room("", 12);
    for (value, base, expected) in [(0, 10, "0"), (42, 0, "42"), (255, 16, "FF"), (8, 8, "10"), (5, 2, "101")]
    {
        assert_eq!(rig.call("RtlIntegerToUnicodeString", &[value, base, string.at()]), SUCCESS);
        assert_eq!(string.text(), expected);
    }
    assert_eq!(rig.call("RtlIntegerToUnicodeString", &[1, 3, string.at()]), INVALID_PARAMETER);
    assert_eq!(rig.call("RtlInt64ToUnicodeString", &[u64::MAX, 16, string.at()]), BUFFER_OVERFLOW);
    let mut large = Wide::with_room("", 16);
    assert_eq!(rig.call("RtlInt64ToUnicodeString", &[u64::MAX, 16, large.at()]), SUCCESS);
    assert_eq!(large.text(), "FFFFFFFFFFFFFFFF");
    let mut value = 0u32;
    for (text, base, expected) in [
        (" 42x", 10, 42),
        ("-1", 10, u32::MAX),
        ("+7", 10, 7),
        ("0x1F", 0, 31),
        ("0o17", 0, 15),
        ("0b101", 0, 5),
        ("ff", 16, 255),
        ("", 10, 0),
    ] {
        let mut string = Wide::new(text);
        assert_eq!(rig.call("RtlUnicodeStringToInteger", &[string.at(), base, at(&mut value)]), SUCCESS);
        assert_eq!(value, expected, "`{text}`");
        let mut bytes = narrow(text);
        assert_eq!(rig.call("RtlCharToInteger", &[at(bytes.as_mut_slice()), base, at(&mut value)]), SUCCESS);
        assert_eq!(value, expected, "`{text}`");
    }
    assert_eq!(rig.call("RtlUnicodeStringToInteger", &[string.at(), 7, at(&mut value)]), INVALID_PARAMETER);
}

#[test]
fn guids() {
    let rig = Rig::new();
    const TEXT: &str = "{6B29FC40-CA47-1067-B31D-00DD010662DA}";
    let mut bytes = [0u8; 16];
    let mut string = Wide::new(TEXT);
    assert_eq!(rig.call("RtlGUIDFromString", &[string.at(), at(&mut bytes)]), SUCCESS);
    assert_eq!(
        bytes,
        [0x40, 0xFC, 0x29, 0x6B, 0x47, 0xCA, 0x67, 0x10, 0xB3, 0x1D, 0x00, 0xDD, 0x01, 0x06, 0x62, 0xDA]
    );
    let mut out = Wide::new("");
    assert_eq!(rig.call("RtlStringFromGUID", &[at(&mut bytes), out.at()]), SUCCESS);
    assert_eq!(out.text(), TEXT);
    rig.call("RtlFreeUnicodeString", &[out.at()]);
    for bad in ["", "{6B29FC40-CA47-1067-B31D-00DD010662D}", "{6B29FC40+CA47-1067-B31D-00DD010662DA}"] {
        let mut string = Wide::new(bad);
        assert_eq!(
            rig.call("RtlGUIDFromString", &[string.at(), at(&mut bytes)]),
            INVALID_PARAMETER,
            "`{bad}`"
        );
    }
}

#[test]
fn memory() {
    let rig = Rig::new();
    let mut block: Vec<u8> = (0..16).collect();
    let start = at(block.as_mut_slice());
    assert_eq!(rig.call("memmove", &[start + 2, start, 8]), start + 2);
    assert_eq!(&block[..11], &[0, 1, 0, 1, 2, 3, 4, 5, 6, 7, 10], "overlap");
    rig.call("memcpy", &[start, start + 8, 4]);
    rig.call("RtlCopyMemory", &[start + 4, start, 2]);
    rig.call("RtlMoveMemory", &[start + 6, start, 2]);
    rig.call("RtlCopyMemoryNonTemporal", &[start + 8, start, 2]);
    assert_eq!(&block[..10], &[6, 7, 10, 11, 6, 7, 6, 7, 6, 7]);
    assert_eq!(rig.call("memset", &[start, 0x1_FF, 4]), start);
    rig.call("RtlFillMemory", &[start + 4, 4, 0xEE]);
    rig.call("RtlZeroMemory", &[start + 8, 8]);
    assert_eq!(block, [0xFF, 0xFF, 0xFF, 0xFF, 0xEE, 0xEE, 0xEE, 0xEE, 0, 0, 0, 0, 0, 0, 0, 0]);
    rig.call("RtlFillMemoryUlong", &[start, 10, 0x0403_0201]);
    assert_eq!(&block[..10], &[1, 2, 3, 4, 1, 2, 3, 4, 0, 0]);
    assert_eq!(rig.call("RtlCompareMemoryUlong", &[start, 16, 0x0403_0201]), 8);
    assert_eq!(rig.call("RtlCompareMemory", &[start, start + 4, 8]), 4);
    assert_eq!(rig.call("RtlCompareMemory", &[start, start, 0]), 0);
    assert_eq!(rig.call("memcmp", &[start, start + 4, 4]), 0);
    assert_eq!(rig.call("memcmp", &[start, start + 4, 5]) as i32, 1);
    assert_eq!(rig.call("memcmp", &[start + 8, start, 5]) as i32, -1);
    assert_eq!(rig.call("memchr", &[start, 3, 16]), start + 2);
    assert_eq!(rig.call("memchr", &[start, 9, 16]), 0);
    rig.faults("memcpy", &[start, 0, 1]);
    assert_eq!(rig.call("memcpy", &[0, 0, 0]), 0, "no bytes, no access");
}

#[test]
fn secure_memory_copies() {
    let rig = Rig::new();
    let (mut target, mut source) = ([0x5Au8; 4], [1u8, 2, 3, 4, 5, 6, 7, 8]);
    let (to, from) = (at(&mut target), at(&mut source));
    assert_eq!(rig.call("memcpy_s", &[to, 4, from, 3]), 0);
    assert_eq!(target, [1, 2, 3, 0x5A]);
    assert_eq!(rig.call("memmove_s", &[to, 4, from, 8]), 34);
    assert_eq!(target, [1, 2, 3, 0x5A], "`memmove_s` does not clear");
    assert_eq!(rig.call("memmove_s", &[to, 4, to + 1, 2]), 0);
    assert_eq!(target, [2, 3, 3, 0x5A]);
    assert_eq!(rig.call("memcpy_s", &[to, 4, from, 8]), 34);
    assert_eq!(target, [0; 4], "cleared");
    assert_eq!(rig.call("memcpy_s", &[to, 4, 0, 2]), 22);
}

#[test]
fn random_numbers_follow_the_seed() {
    let rig = Rig::new();
    let mut seed = 1u32;
    let first = rig.call("RtlRandom", &[at(&mut seed)]);
    assert_eq!(first, u64::from((0x7FFF_FFEDu64 + 0x7FFF_FFC3) as u32 % 0x7FFF_FFFF));
    let (mut left, mut right) = (7u32, 7u32);
    let drawn: Vec<u64> = (0..4).map(|_| rig.call("RtlRandomEx", &[at(&mut left)])).collect();
    let again: Vec<u64> = (0..4).map(|_| rig.call("RtlRandomEx", &[at(&mut right)])).collect();
    assert_eq!(drawn, again);
    assert!(drawn.iter().all(|value| *value < 0x7FFF_FFFF) && drawn[0] != drawn[1]);
}

#[test]
fn calendar_time() {
    let rig = Rig::new();
    for (time, expected) in [
        (0i64, [1601i16, 1, 1, 0, 0, 0, 0, 1]),
        (116_444_736_000_000_000, [1970, 1, 1, 0, 0, 0, 0, 4]),
        (125_962_991_995_670_000, [2000, 2, 29, 11, 59, 59, 567, 2]),
    ] {
        let mut fields = [0i16; 8];
        let mut input = time;
        rig.call("RtlTimeToTimeFields", &[at(&mut input), at(&mut fields)]);
        assert_eq!(fields, expected);
        let mut back = 0i64;
        assert_eq!(rig.call("RtlTimeFieldsToTime", &[at(&mut fields), at(&mut back)]), TRUE);
        assert_eq!(back, time);
    }
    let mut output = 0i64;
    let mut bad = [1900i16, 2, 29, 0, 0, 0, 0, 0];
    assert_eq!(rig.call("RtlTimeFieldsToTime", &[at(&mut bad), at(&mut output)]), FALSE, "no leap year");
    let mut seconds = 0u32;
    let mut time = 0i64;
    rig.call("RtlSecondsSince1970ToTime", &[86_400, at(&mut time)]);
    assert_eq!(time, 116_445_600_000_000_000);
    assert_eq!(rig.call("RtlTimeToSecondsSince1970", &[at(&mut time), at(&mut seconds)]), TRUE);
    assert_eq!(seconds, 86_400);
    assert_eq!(
        rig.call("RtlTimeToSecondsSince1980", &[at(&mut time), at(&mut seconds)]),
        FALSE,
        "before 1980"
    );
    rig.call("RtlSecondsSince1980ToTime", &[0, at(&mut time)]);
    assert_eq!(time, 119_600_064_000_000_000);
    for name in ["ExSystemTimeToLocalTime", "ExLocalTimeToSystemTime"] {
        let mut local = 0i64;
        rig.call(name, &[at(&mut time), at(&mut local)]);
        assert_eq!(local, time, "{name}");
    }
}

#[test]
fn versions_come_from_the_profile() {
    for profile in [Profile::NT6, Profile::WIN11_24H2] {
        let rig = Rig::with(profile);
        // SAFETY: the structure is plain data.
        let mut info: RTL_OSVERSIONINFOEXW = unsafe { core::mem::zeroed() };
        info.dwOSVersionInfoSize = 0x11C;
        assert_eq!(rig.call("RtlGetVersion", &[at(&mut info)]), SUCCESS);
        assert_eq!(
            (
                info.dwMajorVersion,
                info.dwMinorVersion,
                info.dwBuildNumber,
                info.dwPlatformId,
                info.wProductType
            ),
            (profile.major, profile.minor, profile.build, 2, 1)
        );
        info.wProductType = 0x5A;
        info.dwOSVersionInfoSize = 0x114;
        assert_eq!(rig.call("RtlGetVersion", &[at(&mut info)]), SUCCESS);
        assert_eq!(info.wProductType, 0x5A, "the short form ends before it");
        info.dwOSVersionInfoSize = 0x11C;

        // VER_MAJORVERSION | VER_MINORVERSION, both `>=`.
        let mask = rig.call("VerSetConditionMask", &[0, 2, 3]);
        let mask = rig.call("VerSetConditionMask", &[mask, 1, 3]);
        assert_eq!(mask, 3 << 3 | 3);
        let verify = |info: &mut RTL_OSVERSIONINFOEXW| rig.call("RtlVerifyVersionInfo", &[at(info), 3, mask]);
        assert_eq!(verify(&mut info), SUCCESS);
        info.dwMajorVersion -= 1;
        info.dwMinorVersion = 99;
        assert_eq!(verify(&mut info), SUCCESS, "a lower major decides");
        info.dwMajorVersion = profile.major;
        assert_eq!(verify(&mut info), u64::from(nt::STATUS_REVISION_MISMATCH.0));
        assert_eq!(rig.call("RtlVerifyVersionInfo", &[at(&mut info), 0, mask]), INVALID_PARAMETER);

        let own = u64::from(profile.major << 24 | profile.minor << 16);
        assert_eq!(rig.call("RtlIsNtDdiVersionAvailable", &[own]), TRUE);
        assert_eq!(rig.call("RtlIsNtDdiVersionAvailable", &[own + 0x1_0000]), FALSE);
        assert_eq!(rig.call("IoIsWdmVersionAvailable", &[6, 0]), TRUE);
        assert_eq!(rig.call("IoIsWdmVersionAvailable", &[6, 0x10]), FALSE);
        let (mut major, mut build) = (0u32, 0u32);
        assert_eq!(rig.call("PsGetVersion", &[at(&mut major), 0, at(&mut build), 0]), FALSE);
        assert_eq!((major, build), (profile.major, profile.build));
    }
}

#[test]
fn sids() {
    let rig = Rig::new();
    assert_eq!(rig.call("RtlLengthRequiredSid", &[2]), 16);
    let mut sid = [0u32; 4];
    let mut authority = [0u8, 0, 0, 0, 0, 5];
    let address = at(&mut sid);
    assert_eq!(rig.call("RtlInitializeSid", &[address, at(&mut authority), 2]), SUCCESS);
    assert_eq!(rig.call("RtlInitializeSid", &[address, at(&mut authority), 16]), INVALID_PARAMETER);
    assert_eq!(rig.call("RtlSubAuthoritySid", &[address, 1]), address + 12);
    assert_eq!(rig.call("RtlSubAuthorityCountSid", &[address]), address + 1);
    poke(&mut sid[2], 32);
    poke(&mut sid[3], 544);
    assert_eq!(rig.call("RtlValidSid", &[address]), TRUE);
    assert_eq!(rig.call("RtlValidSid", &[0]), FALSE);
    assert_eq!(rig.call("RtlLengthSid", &[address]), 16);
    let mut copy = [0u32; 4];
    let other = at(&mut copy);
    assert_eq!(rig.call("RtlCopySid", &[12, other, address]), BUFFER_TOO_SMALL);
    assert_eq!(rig.call("RtlCopySid", &[16, other, address]), SUCCESS);
    assert_eq!(rig.call("RtlEqualSid", &[address, other]), TRUE);
    poke(&mut copy[3], 545);
    assert_eq!(rig.call("RtlEqualSid", &[address, other]), FALSE);
    let mut text = Wide::with_room("", 16);
    assert_eq!(rig.call("RtlConvertSidToUnicodeString", &[text.at(), address, FALSE]), SUCCESS);
    assert_eq!(text.text(), "S-1-5-32-544");
}

#[test]
fn access_lists_and_descriptors() {
    let rig = Rig::new();
    let mut sid = [0x0000_0101u32, 0x0500_0000, 18];
    let sid_at = at(&mut sid);
    let mut acl = [0u32; 16];
    let acl_at = at(&mut acl);
    assert_eq!(rig.call("RtlCreateAcl", &[acl_at, 4, 2]), BUFFER_TOO_SMALL);
    assert_eq!(rig.call("RtlCreateAcl", &[acl_at, 64, 9]), INVALID_PARAMETER);
    assert_eq!(rig.call("RtlCreateAcl", &[acl_at, 64, 2]), SUCCESS);
    assert_eq!(rig.call("RtlAddAccessAllowedAce", &[acl_at, 2, 0x1F_0001, sid_at]), SUCCESS);
    assert_eq!(rig.call("RtlAddAccessAllowedAceEx", &[acl_at, 2, 3, 0x2, sid_at]), SUCCESS);
    assert_eq!(rig.call("RtlAddAccessAllowedAceEx", &[acl_at, 2, 0x100, 0x2, sid_at]), INVALID_PARAMETER);
    let status = rig.call("RtlAddAccessAllowedAce", &[acl_at, 2, 1, sid_at]);
    assert_eq!(status, u64::from(nt::STATUS_ALLOTTED_SPACE_EXCEEDED.0));
    assert_eq!(acl[..5], [0x0040_0002, 2, 0x0014_0000, 0x1F_0001, 0x0000_0101]);
    let mut ace = 0u64;
    assert_eq!(rig.call("RtlGetAce", &[acl_at, 1, at(&mut ace)]), SUCCESS);
    assert_eq!((ace - acl_at, acl[7]), (28, 0x0014_0300));
    assert_eq!(rig.call("RtlGetAce", &[acl_at, 2, at(&mut ace)]), INVALID_PARAMETER);

    let mut descriptor = [0xFFu8; 0x28];
    let descriptor_at = at(&mut descriptor);
    let unknown = u64::from(nt::STATUS_UNKNOWN_REVISION.0);
    assert_eq!(rig.call("RtlCreateSecurityDescriptor", &[descriptor_at, 2]), unknown);
    assert_eq!(rig.call("RtlCreateSecurityDescriptor", &[descriptor_at, 1]), SUCCESS);
    assert_eq!(rig.call("RtlLengthSecurityDescriptor", &[descriptor_at]), 0x28);
    assert_eq!(rig.call("RtlSetDaclSecurityDescriptor", &[descriptor_at, TRUE, acl_at, FALSE]), SUCCESS);
    assert_eq!(rig.call("RtlSetSaclSecurityDescriptor", &[descriptor_at, FALSE, 0, FALSE]), SUCCESS);
    assert_eq!(rig.call("RtlSetOwnerSecurityDescriptor", &[descriptor_at, sid_at, TRUE]), SUCCESS);
    assert_eq!(rig.call("RtlSetGroupSecurityDescriptor", &[descriptor_at, sid_at, FALSE]), SUCCESS);
    assert_eq!(rig.call("RtlValidSecurityDescriptor", &[descriptor_at]), TRUE);
    assert_eq!(rig.call("RtlValidSecurityDescriptor", &[0]), FALSE);
    assert_eq!(rig.call("RtlLengthSecurityDescriptor", &[descriptor_at]), 0x28 + 64 + 12 + 12);

    let mut relative = [0u32; 40];
    let relative_at = at(&mut relative);
    let mut bytes = 16u32;
    let arguments = [descriptor_at, relative_at, at(&mut bytes)];
    assert_eq!(rig.call("RtlAbsoluteToSelfRelativeSD", &arguments), BUFFER_TOO_SMALL);
    assert_eq!(bytes, 0x14 + 64 + 24);
    assert_eq!(rig.call("RtlAbsoluteToSelfRelativeSD", &arguments), SUCCESS);
    assert_eq!(relative[0], 0x8005_0001);
    assert_eq!(relative[1..5], [0x14 + 64, 0x14 + 76, 0, 0x14]);
    for (address, base) in [(descriptor_at, 0), (relative_at, relative_at)] {
        let (mut present, mut defaulted, mut pointer) = (9u8, 9u8, 0u64);
        let (p, d, a) = (at(&mut present), at(&mut defaulted), at(&mut pointer));
        assert_eq!(rig.call("RtlGetDaclSecurityDescriptor", &[address, p, a, d]), SUCCESS);
        let dacl = if base == 0 { acl_at } else { base + 0x14 };
        assert_eq!((present, defaulted, pointer), (1, 0, dacl));
        assert_eq!(rig.call("RtlGetSaclSecurityDescriptor", &[address, p, a, d]), SUCCESS);
        assert_eq!((present, pointer), (0, dacl), "an absent list leaves the pointer alone");
        assert_eq!(rig.call("RtlGetOwnerSecurityDescriptor", &[address, a, d]), SUCCESS);
        assert_eq!((defaulted, pointer), (1, if base == 0 { sid_at } else { base + 0x14 + 64 }));
        assert_eq!(rig.call("RtlGetGroupSecurityDescriptor", &[address, a, d]), SUCCESS);
        assert_eq!((defaulted, pointer), (0, if base == 0 { sid_at } else { base + 0x14 + 76 }));
    }
    let bad_format = u64::from(nt::STATUS_BAD_DESCRIPTOR_FORMAT.0);
    assert_eq!(
        rig.call("RtlAbsoluteToSelfRelativeSD", &[relative_at, relative_at, at(&mut bytes)]),
        bad_format
    );
    let invalid = u64::from(nt::STATUS_INVALID_SECURITY_DESCR.0);
    assert_eq!(rig.call("RtlSetOwnerSecurityDescriptor", &[relative_at, sid_at, FALSE]), invalid);
}

#[test]
fn generic_rights_are_mapped() {
    let rig = Rig::new();
    let mut mask = 0x8000_0004u32;
    let mut mapping = [1u32, 2, 4, 0xFF];
    rig.call("RtlMapGenericMask", &[at(&mut mask), at(&mut mapping)]);
    assert_eq!(mask, 5);
}

#[test]
fn image_headers() {
    let rig = Rig::new();
    let mut image = vec![0u8; 0x100];
    let base = at(image.as_mut_slice());
    assert_eq!(rig.call("RtlImageNtHeader", &[base]), 0);
    image[..2].copy_from_slice(b"MZ");
    image[0x3C] = 0x80;
    image[0x80..0x84].copy_from_slice(b"PE\0\0");
    assert_eq!(rig.call("RtlImageNtHeader", &[base]), base + 0x80);
    assert_eq!(rig.call("RtlImageNtHeader", &[0]), 0);
}
