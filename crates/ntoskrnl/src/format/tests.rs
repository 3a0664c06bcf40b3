//! The format language, line by line: format, arguments, expected.

use nt::{STRING, UNICODE_STRING};

use super::{Sink, format, text};
use crate::guest::Everywhere;

fn narrow(pattern: &str, slots: &[u64]) -> String {
    let mut sink = Sink::<u8>::new(4096);
    format(&Everywhere, pattern.as_bytes(), slots.as_ptr() as u64, &mut sink);
    text(&sink.finish().0)
}

fn wide(pattern: &str, slots: &[u64]) -> String {
    let pattern: Vec<u16> = pattern.encode_utf16().collect();
    let mut sink = Sink::<u16>::new(4096);
    format(&Everywhere, &pattern, slots.as_ptr() as u64, &mut sink);
    String::from_utf16(&sink.finish().0).expect("the tests print valid text")
}

#[track_caller]
fn check(table: &[(&str, &[u64], &str)]) {
    for (pattern, slots, expected) in table {
        assert_eq!(narrow(pattern, slots), *expected, "narrow `{pattern}`");
        assert_eq!(wide(pattern, slots), *expected, "wide `{pattern}`");
    }
}

const MINUS_ONE: u64 = u64::MAX;

#[test]
fn integers() {
    check(&[
        ("plain", &[], "plain"),
        ("100%%", &[], "100%"),
        ("%d %i", &[5, MINUS_ONE], "5 -1"),
        ("%u", &[MINUS_ONE], "4294967295"),
        ("%d", &[0xDEAD_BEEF_8000_0000], "-2147483648"),
        ("%hd %hu", &[0x1_FFFF, 0x1_FFFF], "-1 65535"),
        ("%hhd %hhu", &[0x1FF, 0x1FF], "-1 255"),
        ("%ld %lu", &[MINUS_ONE, MINUS_ONE], "-1 4294967295"),
        ("%lld %llu", &[MINUS_ONE, MINUS_ONE], "-1 18446744073709551615"),
        ("%I64d %I64u %I64x", &[MINUS_ONE, MINUS_ONE, MINUS_ONE], "-1 18446744073709551615 ffffffffffffffff"),
        ("%I32d %I32u", &[MINUS_ONE, MINUS_ONE], "-1 4294967295"),
        ("%Id %Ix", &[MINUS_ONE, 0x1_0000_0000], "-1 100000000"),
        ("%zu %zx %jd %td", &[1 << 32, 1 << 32, MINUS_ONE, 7], "4294967296 100000000 -1 7"),
        ("%lx %x", &[0x1_2345_6789, 0xABCDEF], "23456789 abcdef"),
        ("%X %#x %#X %#x", &[0xABC, 0xABC, 0xABC, 0], "ABC 0xabc 0XABC 0"),
        ("%o %#o %#o", &[8, 8, 0], "10 010 0"),
        ("[%5d] [%-5d] [%05d] [%+d] [% d]", &[42, 42, 42, 42, 42], "[   42] [42   ] [00042] [+42] [ 42]"),
        ("[%05d] [%+05d] [%-05d]", &[(-42i64) as u64, 42, 42], "[-0042] [+0042] [42   ]"),
        ("[%.5d] [%8.5d] [%08.5d]", &[42, 42, 42], "[00042] [   00042] [   00042]"),
        ("[%.0d] [%.d] [%5.0d]", &[0, 0, 0], "[] [] [     ]"),
        ("[%.0x] [%#.0o]", &[0, 0], "[] [0]"),
        ("[%*d] [%-*d] [%*d]", &[5, 1, 5, 2, (-5i64) as u64, 3], "[    1] [2    ] [3    ]"),
        ("[%.*d] [%.*d]", &[3, 7, MINUS_ONE, 7], "[007] [7]"),
        ("[%#06x] [%#8x]", &[0xAB, 0xAB], "[0x00ab] [    0xab]"),
    ]);
}

#[test]
fn pointers_have_sixteen_upper_case_digits() {
    check(&[
        ("%p", &[0xFFFF_8000_0000_ABCD], "FFFF80000000ABCD"),
        ("%p", &[0], "0000000000000000"),
        (
            "[%18p] [%-18p] [%#p]",
            &[0x1234, 0x1234, 0x1234],
            "[  0000000000001234] [0000000000001234  ] [0X0000000000001234]",
        ),
        ("%.3p", &[0x1234], "0000000000001234"),
    ]);
}

#[test]
fn strings_and_characters() {
    let narrow_text = b"narrow\0";
    let wide_text: Vec<u16> = "wide\0".encode_utf16().collect();
    let (n, w) = (narrow_text.as_ptr() as u64, wide_text.as_ptr() as u64);
    check(&[
        ("[%hs] [%ws] [%ls]", &[n, w, w], "[narrow] [wide] [wide]"),
        ("[%hS] [%lS] [%wS]", &[n, w, w], "[narrow] [wide] [wide]"),
        ("[%8hs] [%-8hs] [%.3hs] [%8.3ws]", &[n, n, n, w], "[  narrow] [narrow  ] [nar] [     wid]"),
        ("[%.*hs]", &[2, n], "[na]"),
        ("[%s] [%S] [%ws] [%8s] [%.3s]", &[0, 0, 0, 0, 0], "[(null)] [(null)] [(null)] [  (null)] [(nu]"),
        ("[%08hs]", &[n], "[00narrow]"),
    ]);
    assert_eq!(narrow("%s %S %c %C", &[n, w, 0x41, 0x42]), "narrow wide A B");
    assert_eq!(wide("%s %S %c %C", &[w, n, 0x41, 0x42]), "wide narrow A B");
    assert_eq!(narrow("%c %hc %wc %lc [%3c]", &[0x41, 0x43, 0x44, 0x45, 0x46]), "A C D E [  F]");
    assert_eq!(wide("%c %hc %wc %C", &[0x142, 0x43, 0x20AC, 0x41]), "\u{142} C \u{20AC} A");
}

#[test]
fn counted_strings() {
    let mut units: Vec<u16> = "Callback tail".encode_utf16().collect();
    let mut bytes = b"ansi tail".to_vec();
    let wide_string = UNICODE_STRING { Length: 16, MaximumLength: 26, Buffer: units.as_mut_ptr() };
    let ansi_string = STRING { Length: 4, MaximumLength: 9, Buffer: bytes.as_mut_ptr() };
    let empty = UNICODE_STRING::EMPTY;
    let (w, a, e) = (&raw const wide_string as u64, &raw const ansi_string as u64, &raw const empty as u64);
    check(&[
        ("[%wZ] [%lZ] [%Z] [%hZ]", &[w, w, a, a], "[Callback] [Callback] [ansi] [ansi]"),
        ("[%10wZ] [%-10wZ]", &[w, w], "[  Callback] [Callback  ]"),
        ("[%wZ] [%Z] [%wZ]", &[0, 0, e], "[(null)] [(null)] [(null)]"),
    ]);
}

#[test]
fn wide_text_in_narrow_output_goes_through_the_code_page() {
    let text: Vec<u16> = "\u{E9}\u{20AC}\u{4E2D}\0".encode_utf16().collect();
    let mut sink = Sink::<u8>::new(16);
    let slots = [text.as_ptr() as u64];
    format(&Everywhere, b"%ws", slots.as_ptr() as u64, &mut sink);
    assert_eq!(sink.finish().0, [0xE9, 0x80, b'?']);
}

#[test]
fn floating_point_comes_from_the_slots() {
    let f = |value: f64| value.to_bits();
    check(&[
        ("%f", &[f(1.5)], "1.500000"),
        ("%.2f %.0f %#.0f", &[f(2.675), f(2.5), f(2.0)], "2.67 2 2."),
        ("%8.3f|%-8.3f|%08.3f", &[f(6.25159), f(6.25159), f(-6.25159)], "   6.252|6.252   |-006.252"),
        ("%e %E", &[f(12345.678), f(0.00012)], "1.234568e+004 1.200000E-004"),
        ("%.0e %#.0e", &[f(12345.0), f(12345.0)], "1e+004 1.e+004"),
        ("%g %g %g %G", &[f(100000.0), f(1_000_000.0), f(0.0001), f(1e-5)], "100000 1e+006 0.0001 1E-005"),
        ("%g %#g %.3g", &[f(1.5), f(1.5), f(1234.0)], "1.5 1.50000 1.23e+003"),
        ("%+f % f", &[f(1.0), f(1.0)], "+1.000000  1.000000"),
        ("%f %f %f", &[f(f64::INFINITY), f(f64::NEG_INFINITY), f(f64::NAN)], "1.#INF -1.#INF 1.#QNAN"),
        ("%a %.1a", &[f(1.0), f(1.97)], "0x1.0000000000000p+0 0x2.0p+0"),
    ]);
}

#[test]
fn odd_formats_do_no_harm() {
    let mut target = [0x5Au8; 8];
    let at = target.as_mut_ptr() as u64;
    check(&[
        ("a%nb%d", &[at, 7], "ab7"),
        ("%", &[], ""),
        ("%-", &[], ""),
        ("%5", &[], ""),
        ("%5.", &[], ""),
        ("%y%q", &[], "yq"),
        ("%I64", &[], ""),
        ("%5%|", &[], "%|"),
    ]);
    assert_eq!(target, [0x5A; 8], "`%n` writes nothing");
}

#[test]
fn a_huge_width_costs_nothing_and_is_counted() {
    let mut sink = Sink::<u8>::new(8);
    let slots = [1u64];
    format(&Everywhere, b"%2147483647d!", slots.as_ptr() as u64, &mut sink);
    let (kept, length) = sink.finish();
    assert_eq!(kept, b"        ");
    assert_eq!(length, 2_147_483_648);
}
