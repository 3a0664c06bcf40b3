//! WinDbg breakpoint logs read back.
//!
//! The usual way to watch callback objects on a live machine is a breakpoint on `nt!ExCreateCallback` that prints the name
//! and goes on. Such a log shows *attempts*: the call has not happened yet, so the first occurrence of a name need not
//! create it. What each attempt came to is judged by the order of the log and the [catalog](nt::catalog), and says so.
//!
//! Understood are `dt nt!_OBJECT_ATTRIBUTES @r8 ObjectName` (the published boot trace), the whole structure by `dt` or `dx`,
//! 32-bit offsets, `.printf` lines that begin with the routine's name, stack frames printed along, and `!object \Callback`
//! listings. Everything else is counted by kind and skipped, except blank lines. A line counts as an attempt only when all of it has such a
//! form: text that mentions the routines, source code and layouts without values yield nothing.

mod compare;
mod line;
mod listing;
mod noise;
mod printf;
mod verdict;

pub use compare::{Comparison, NameCounts, compare};

use record::{AskedName, NamePlace, TraceAttempt, TraceLog};

use listing::Listing;
use noise::Noise;

/// Decodes a log: UTF-8, or UTF-16 as `.logopen /u` writes it. What is neither is replaced character by character.
#[must_use]
pub fn decode(bytes: &[u8]) -> String {
    type Unit = fn([u8; 2]) -> u16;
    let (rest, from): (&[u8], Option<Unit>) = match bytes {
        [0xFF, 0xFE, rest @ ..] => (rest, Some(u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => (rest, Some(u16::from_be_bytes)),
        [0xEF, 0xBB, 0xBF, rest @ ..] => (rest, None),
        _ => (bytes, None),
    };
    match from {
        Some(from) => {
            let (pairs, _) = rest.as_chunks::<2>();
            char::decode_utf16(pairs.iter().map(|pair| from(*pair)))
                .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect()
        }
        None => String::from_utf8_lossy(rest).into_owned(),
    }
}

/// Reads a log.
#[must_use]
pub fn read(source: &str, text: &str) -> TraceLog {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        reader.number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        reader.line(line.trim_end());
    }
    let mut log = TraceLog {
        source: source.to_owned(),
        lines: reader.number,
        attempts: reader.attempts,
        listed: reader.listing.objects,
        hash: None,
        from_boot: false,
        skipped: reader.noise.counts(),
    };
    log.hash = listing::hash(&log.listed);
    verdict::judge(&mut log);
    log
}

/// Who comes first, the stack or the name, differs from breakpoint to breakpoint but not within a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    StackFirst,
    NameFirst,
}

#[derive(Debug, Default)]
struct Reader {
    number: u32,
    attempts: Vec<TraceAttempt>,
    listing: Listing,
    noise: Noise,
    /// A breakpoint on the routine was set in this log, so lines that are nothing but a path are its output.
    armed: bool,
    /// The structure being printed has a root directory.
    relative: bool,
    /// The last attempt was printed by `dt` and more of its fields may follow.
    open: bool,
    /// Inside a stack that begins with the routine.
    in_stack: bool,
    order: Option<Order>,
    caller: Option<String>,
    sought: Option<String>,
}

impl Reader {
    fn line(&mut self, raw: &str) {
        let (prompt, line) = line::without_prompt(raw);
        if line.trim().is_empty() {
            self.open = false;
            self.listing.end();
            return;
        }
        if let Some((offset, name, value)) = line::field(line) {
            self.field(offset, name, value);
            return;
        }
        self.open = false;
        if self.listing.line(self.number, line) {
            return;
        }
        if let Some((module, symbol)) = line::frame(line) {
            self.frame(module, symbol);
            return;
        }
        self.in_stack = false;
        if line::sets_breakpoint(line) {
            self.armed = true;
            self.noise.count("debugger command");
        } else if !prompt && let Some(printed) = printf::parse(line, self.armed) {
            self.printed(printed);
        } else if line::is_structure_head(line) {
            self.relative = false;
        } else {
            if let Some(module) = noise::missing_symbols(line) {
                self.sought = Some(module.to_owned());
            }
            self.noise.count(if prompt { "debugger command" } else { noise::kind(line) });
        }
    }

    fn field(&mut self, offset: u32, name: &str, value: &str) {
        match (name, offset) {
            ("ObjectName", 0x8 | 0x10) => match line::asked_name(value) {
                Some((at, asked)) => {
                    self.attempt(asked, at);
                    self.open = true;
                }
                None => {
                    self.open = false;
                    self.noise.count("structure layout without values");
                }
            },
            ("RootDirectory", 0x4 | 0x8) => self.relative = line::pointer(value).is_some_and(|at| at != 0),
            ("Attributes", 0xC | 0x18) if self.open => {
                if let (Some(attempt), Some(value)) = (self.attempts.last_mut(), line::number(value)) {
                    attempt.attributes = u32::try_from(value).ok();
                }
            }
            ("Length", 0) => self.relative = false,
            _ if self.open || line::belongs(name) => {}
            _ => self.noise.count("fields of other structures"),
        }
    }

    fn attempt(&mut self, name: AskedName, at: Option<u64>) {
        let at = at.filter(|at| *at != 0);
        let same_slot_as = at.and_then(|at| {
            self.attempts.iter().rev().find(|earlier| earlier.name_at == Some(at)).map(|it| it.number)
        });
        self.in_stack = false;
        self.order.get_or_insert(if self.caller.is_some() { Order::StackFirst } else { Order::NameFirst });
        let mut why = String::new();
        if std::mem::take(&mut self.relative) {
            "the name is relative to a directory that the log does not name".clone_into(&mut why);
        }
        self.attempts.push(TraceAttempt {
            number: u32::try_from(self.attempts.len() + 1).unwrap_or(u32::MAX),
            line: self.number,
            name,
            name_at: at,
            place: at.map_or(NamePlace::None, line::place),
            same_slot_as,
            attributes: None,
            create: None,
            multiple: None,
            status: None,
            caller: self.caller.take(),
            symbols_sought: self.sought.take(),
            verdict: record::AttemptVerdict::Unknown,
            certainty: String::new(),
            why,
            known_as: None,
        });
    }

    fn printed(&mut self, printed: printf::Printed) {
        self.attempt(printed.name, printed.name_at);
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.attributes = printed.attributes;
            attempt.create = printed.create;
            attempt.multiple = printed.multiple;
            attempt.status = printed.status;
            attempt.caller = printed.caller.or(attempt.caller.take());
        }
    }

    /// Takes one stack frame. Only a stack that begins with the routine says who called it.
    fn frame(&mut self, module: &str, symbol: &str) {
        if line::is_routine(module, symbol) {
            self.in_stack = true;
            return;
        }
        if !std::mem::take(&mut self.in_stack) {
            return;
        }
        let caller = format!("{module}!{symbol}");
        match (self.order, self.attempts.last_mut()) {
            (Some(Order::NameFirst), Some(attempt)) => {
                attempt.caller.get_or_insert(caller);
            }
            _ => self.caller = Some(caller),
        }
    }
}

#[cfg(test)]
mod tests;
