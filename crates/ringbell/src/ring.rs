//! What to ring, as written on the command line: `NAME[=A1[,A2]][@passive|@apc|@dispatch]`.

use std::fmt;
use std::str::FromStr;

use nt::Irql;

/// One notify: which object, with which arguments, at which IRQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Full path of the object. A name without a backslash is taken to lie in `\Callback`.
    pub object: String,
    /// First argument, passed as it is.
    pub argument1: u64,
    /// Second argument.
    pub argument2: u64,
    /// IRQL of the caller: `PASSIVE_LEVEL`, `APC_LEVEL` or `DISPATCH_LEVEL`.
    pub irql: Irql,
}

/// Why a ring could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRing {
    message: String,
    hint: &'static str,
}

impl BadRing {
    /// Returns the next step.
    pub fn hint(&self) -> &'static str {
        self.hint
    }
}

impl fmt::Display for BadRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadRing {}

const FORM: &str = "write NAME[=A1[,A2]][@passive|@apc|@dispatch], for example `PowerState=1,0@dispatch`";

/// Returns the full path of a callback object: a bare name lies in `\Callback`.
///
/// # Errors
///
/// The name is empty, holds a `/` or a control character, or is longer than an NT name can be.
pub fn object_path(name: &str) -> Result<String, BadRing> {
    let bad = |message: String, hint| Err(BadRing { message, hint });
    if name.is_empty() {
        return bad("the name of the callback object is empty".into(), FORM);
    }
    if let Some(control) = name.chars().find(|c| c.is_control()) {
        let message = format!(
            "the name `{}` holds the control character U+{:04X}",
            name.escape_debug(),
            u32::from(control)
        );
        return bad(message, "names on the command line are printable text");
    }
    if name.contains('/') {
        let hint = "names in the NT namespace are separated by `\\`, as in `\\Callback\\PowerState`; write it in single quotes";
        return bad(format!("the name `{name}` holds a `/`"), hint);
    }
    let path = if name.contains('\\') { name.to_owned() } else { format!("\\Callback\\{name}") };
    if path.encode_utf16().count() > MAX_UNITS {
        let message = format!("the name is longer than {MAX_UNITS} UTF-16 units");
        return bad(message, "a `UNICODE_STRING` cannot hold it");
    }
    if !path.starts_with('\\') {
        let hint = "write the full path, as in `\\Callback\\PowerState`, or the bare name of an object in `\\Callback`";
        return bad(format!("the path `{path}` does not start at the root `\\`"), hint);
    }
    Ok(path)
}

/// Longest name the object manager accepts: 0xFFFC bytes.
const MAX_UNITS: usize = 0xFFFC / 2;

fn number(text: &str) -> Result<u64, BadRing> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1_i128, digits),
        None => (1, text),
    };
    let value = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(&hex.replace('`', ""), 16),
        None => digits.parse::<u64>(),
    };
    match value.map(|value| sign * i128::from(value)) {
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            reason = "two's complement is what is wanted"
        )]
        Ok(value) if value >= i128::from(i64::MIN) => Ok(value as u64),
        _ => Err(BadRing {
            message: format!("the argument `{}` is not a 64-bit number", text.escape_debug()),
            hint: "write a decimal number, or hexadecimal with `0x`",
        }),
    }
}

impl FromStr for Ring {
    type Err = BadRing;

    fn from_str(text: &str) -> Result<Self, BadRing> {
        let (rest, irql) = match text.rsplit_once('@') {
            None => (text, Irql::PASSIVE),
            Some((rest, level)) => (rest, level_of(level)?),
        };
        let (name, arguments) = match rest.split_once('=') {
            None => (rest, None),
            Some((name, arguments)) => (name, Some(arguments)),
        };
        let mut values = [0; 2];
        if let Some(arguments) = arguments {
            let parts: Vec<&str> = arguments.split(',').collect();
            if parts.len() > 2 {
                let message = format!("`{}` gives {} arguments", text.escape_debug(), parts.len());
                return Err(BadRing { message, hint: "`ExNotifyCallback` passes two" });
            }
            for (value, part) in values.iter_mut().zip(parts) {
                *value = number(part.trim())?;
            }
        }
        Ok(Self { object: object_path(name)?, argument1: values[0], argument2: values[1], irql })
    }
}

pub(crate) fn level_of(text: &str) -> Result<Irql, BadRing> {
    match text.to_ascii_lowercase().as_str() {
        "passive" => Ok(Irql::PASSIVE),
        "apc" => Ok(Irql::APC),
        "dispatch" => Ok(Irql::DISPATCH),
        _ => Err(BadRing {
            message: format!("`{}` is not an IRQL to ring at", text.escape_debug()),
            hint: "use `passive`, `apc` or `dispatch`; `ExNotifyCallback` has no mode above DISPATCH_LEVEL",
        }),
    }
}

impl fmt::Display for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.irql {
            Irql::PASSIVE => "passive",
            Irql::APC => "apc",
            _ => "dispatch",
        };
        write!(f, "{}={:#x},{:#x}@{level}", self.object, self.argument1, self.argument2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(text: &str) -> Result<Ring, String> {
        text.parse::<Ring>().map_err(|error| error.to_string())
    }

    #[test]
    fn everything_but_the_name_may_be_left_out() {
        let expected =
            Ring { object: r"\Callback\PowerState".into(), argument1: 0, argument2: 0, irql: Irql::PASSIVE };
        assert_eq!(ring("PowerState"), Ok(expected.clone()));
        assert_eq!(ring(r"\Callback\PowerState"), Ok(expected.clone()));
        assert_eq!(ring("PowerState=0x1"), Ok(Ring { argument1: 1, ..expected.clone() }));
        assert_eq!(
            ring("PowerState=1,-1"),
            Ok(Ring { argument1: 1, argument2: u64::MAX, ..expected.clone() })
        );
        assert_eq!(
            ring("PowerState=0xffff8000`00000000,2@dispatch"),
            Ok(Ring { argument1: 0xffff_8000_0000_0000, argument2: 2, irql: Irql::DISPATCH, ..expected })
        );
    }

    #[test]
    fn what_it_prints_reads_back() {
        let written: Ring = r"\Dir\X=7,8@apc".parse().unwrap();
        assert_eq!(written.to_string().parse(), Ok(written));
    }

    #[test]
    fn each_mistake_has_its_words() {
        for (text, words) in [
            ("", "is empty"),
            ("=1", "is empty"),
            ("Callback/PowerState", "holds a `/`"),
            ("Power\u{7}State", "U+0007"),
            ("PowerState=x", "`x` is not a 64-bit number"),
            ("PowerState=1,2,3", "gives 3 arguments"),
            ("PowerState=-9223372036854775809", "not a 64-bit number"),
            ("PowerState=18446744073709551616", "not a 64-bit number"),
            ("PowerState@high", "`high` is not an IRQL"),
            (r"Callback\PowerState", "does not start at the root"),
        ] {
            let error = ring(text).unwrap_err();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
