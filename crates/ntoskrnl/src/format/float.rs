//! `%e`, `%f`, `%g` and `%a`.
//!
//! The digits are exact, as in newer libraries; the kernel's own stop after 17 significant ones. Infinity and NaN are spelled the
//! way this family of libraries did for as long as the kernel has had one: `1.#INF`, `1.#QNAN`.

/// Most digits after the point.
const MOST: usize = 340;

/// Returns the digits of a value without a sign.
pub(super) fn digits(value: f64, letter: u8, precision: Option<usize>, alternate: bool) -> String {
    if value.is_nan() {
        return "1.#QNAN".into();
    }
    if value.is_infinite() {
        return "1.#INF".into();
    }
    let precision_or = |default: usize| precision.unwrap_or(default).min(MOST);
    let text = match letter.to_ascii_lowercase() {
        b'e' => exponential(value, precision_or(6), alternate),
        b'f' => fixed(value, precision_or(6), alternate),
        b'g' => general(value, precision_or(6).max(1), alternate),
        _ => hexadecimal(value, precision.map(|digits| digits.min(13)), alternate),
    };
    if letter.is_ascii_uppercase() { text.to_ascii_uppercase() } else { text }
}

fn fixed(value: f64, precision: usize, alternate: bool) -> String {
    let mut text = format!("{value:.precision$}");
    if alternate && precision == 0 {
        text.push('.');
    }
    text
}

fn exponential(value: f64, precision: usize, alternate: bool) -> String {
    let text = format!("{value:.precision$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let (sign, magnitude) = exponent.strip_prefix('-').map_or(('+', exponent), |magnitude| ('-', magnitude));
    let point = if alternate && precision == 0 { "." } else { "" };
    format!("{mantissa}{point}e{sign}{magnitude:0>3}")
}

fn general(value: f64, significant: usize, alternate: bool) -> String {
    // The exponent after rounding to that many digits decides.
    let rounded = format!("{value:.digits$e}", digits = significant - 1);
    let exponent: i32 = rounded.split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0);
    let scientific = exponent < -4 || exponent >= significant as i32;
    let text = if scientific {
        exponential(value, significant - 1, alternate)
    } else {
        fixed(value, (significant as i32 - 1 - exponent).max(0) as usize, alternate)
    };
    if alternate {
        return text;
    }
    let (mantissa, tail) = text.find('e').map_or((text.as_str(), ""), |at| text.split_at(at));
    let mantissa =
        if mantissa.contains('.') { mantissa.trim_end_matches('0').trim_end_matches('.') } else { mantissa };
    format!("{mantissa}{tail}")
}

fn hexadecimal(value: f64, precision: Option<usize>, alternate: bool) -> String {
    let bits = value.to_bits();
    let mut fraction = bits & 0x000F_FFFF_FFFF_FFFF;
    let biased = (bits >> 52 & 0x7FF) as i32;
    let mut leading = u64::from(biased != 0);
    let exponent = match (biased, fraction) {
        (0, 0) => 0,
        (0, _) => -1022,
        _ => biased - 1023,
    };
    let kept = precision.unwrap_or(13);
    if kept < 13 {
        let dropped = 4 * (13 - kept as u32);
        let whole = leading << 52 | fraction;
        let half = 1u64 << (dropped - 1);
        let even = whole >> dropped & 1;
        let rounded = (whole + half - 1 + even) >> dropped << dropped;
        leading = rounded >> 52;
        fraction = rounded & 0x000F_FFFF_FFFF_FFFF;
    }
    let all = format!("{fraction:013x}");
    let point = if kept > 0 || alternate { "." } else { "" };
    format!("0x{leading}{point}{}p{exponent:+}", &all[..kept])
}
