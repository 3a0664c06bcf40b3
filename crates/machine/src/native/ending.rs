//! From last words and exit status to [`Ending`].

use std::time::Duration;

use record::{
    Access, BugcheckRecord, Ending, Event, HangRecord, Modules, Wait, What, complete_waits, cycle_sentence,
    cycles,
};

use super::last_words::{Kind, LastWords};
use super::process::{Process, died};

/// Returns how a process that stopped without being told to ended, and the event that closes its stream.
/// Addresses in the words are named by `modules`.
pub(crate) fn read(process: &Process, modules: &Modules, limit: Duration) -> (Ending, Option<Event>) {
    let expired = process.stopped.is_some_and(|stopped| stopped.expired);
    if let Some(signal) = process.interrupted {
        let words = LastWords::read(process.shared.last_words());
        let (at, stack) = words.map_or((None, Vec::new()), |words| (words.at, words.stack));
        return (Ending::Interrupted { signal, at, stack }, None);
    }
    let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
    let Some(words) = LastWords::read(process.shared.last_words()) else {
        let ending = if expired {
            let details = vec!["the kernel process did not say where it was".into()];
            Ending::Hang(HangRecord {
                limit_ms,
                at: None,
                stack: Vec::new(),
                deadlock: false,
                details,
                waits: Vec::new(),
                cycles: Vec::new(),
            })
        } else if process.events.len() as u64 > process.event_limit {
            Ending::EventLimit { limit: process.event_limit }
        } else {
            died(process.stopped.and_then(|stopped| stopped.status))
        };
        return (ending, None);
    };
    let details = || words.text.lines().map(|line| named(line, modules)).collect();
    let event = |what| {
        Some(Event {
            sequence: process.next_sequence(),
            time: words.time,
            processor: words.processor,
            thread: words.thread,
            irql: words.irql,
            caller: words.caller,
            stack: words.stack.clone(),
            what,
        })
    };
    match words.kind {
        Kind::Bugcheck => {
            let record = bugcheck(&words, modules);
            (Ending::Bugcheck(Box::new(record.clone())), event(What::Bugcheck(Box::new(record))))
        }
        Kind::Hang => {
            let (details, waits, cycles) = (details(), Vec::new(), Vec::new());
            let stack = words.stack.clone();
            let hang = HangRecord { limit_ms, at: words.at, stack, deadlock: false, details, waits, cycles };
            (Ending::Hang(hang), None)
        }
        Kind::Deadlock => {
            let (waits, cycles) = waits(process, modules);
            let told = waits.iter().filter(|wait| !wait.is_rest()).map(|wait| wait.sentence(modules));
            let told: Vec<String> = told.chain(cycles.iter().map(|cycle| cycle_sentence(cycle))).collect();
            let details = if told.is_empty() { details() } else { told };
            let stack = words.stack.clone();
            let hang = HangRecord { limit_ms, at: words.at, stack, deadlock: true, details, waits, cycles };
            (Ending::Hang(hang), None)
        }
        Kind::Absent => {
            let access = [Access::Call, Access::Read, Access::Write]
                .get(words.access as usize)
                .copied()
                .unwrap_or(Access::Call);
            let (module, name) = (words.module.clone(), words.name.clone());
            let what = What::AbsentExport {
                module: module.clone(),
                name: name.clone(),
                access,
                arguments: words.arguments,
            };
            // No export call was under way, so the place that touched the import stands in for its caller.
            let event = event(what).map(|event| Event { caller: event.caller.or(words.at), ..event });
            (Ending::AbsentExport { module, name, at: words.at.unwrap_or(0) }, event)
        }
        Kind::EventLimit => (Ending::EventLimit { limit: process.event_limit }, None),
        Kind::HostPanic => (died(process.stopped.and_then(|stopped| stopped.status)), None),
    }
}

/// Returns who waits for whom by the last event of a deadlock, and who for each other.
fn waits(process: &Process, modules: &Modules) -> (Vec<Wait>, Vec<Vec<u32>>) {
    let Some(What::Deadlock { waits }) = process.events.last().map(|event| &event.what) else {
        return (Vec::new(), Vec::new());
    };
    let mut waits = waits.clone();
    complete_waits(&mut waits, &process.events, modules);
    let cycles = cycles(&waits);
    (waits, cycles)
}

/// Replaces hexadecimal driver addresses in `line` by their names.
fn named(line: &str, modules: &Modules) -> String {
    let word = |word: &str| {
        let digits = word.strip_prefix("0x")?;
        let address = u64::from_str_radix(digits, 16).ok()?;
        modules.find(address).map(|_| format!("`{}`", modules.locate(address)))
    };
    let words: Vec<_> = line.split(' ').map(|text| word(text).unwrap_or_else(|| text.to_owned())).collect();
    words.join(" ")
}

/// Replaces code addresses marked by `@` in `text` by their names.
fn named_marks(text: &str, modules: &Modules) -> String {
    let word = |word: &str| {
        let (before, marked) = word.split_once("@0x")?;
        let end = marked.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(marked.len());
        let address = u64::from_str_radix(&marked[..end], 16).ok()?;
        Some(format!("{before}{}{}", modules.locate(address), &marked[end..]))
    };
    let words: Vec<_> = text.split(' ').map(|text| word(text).unwrap_or_else(|| text.to_owned())).collect();
    words.join(" ")
}

fn bugcheck(words: &LastWords, modules: &Modules) -> BugcheckRecord {
    BugcheckRecord {
        code: words.code,
        parameters: words.parameters,
        reason: named_marks(&words.text, modules),
        at: words.at,
        instruction: instruction(&words.instruction, words.registers.map_or(0, |registers| registers.rip)),
        registers: words.registers,
        stack: words.stack.clone(),
    }
}

/// Returns the text of the instruction in `bytes`, or the bytes where they are none.
fn instruction(bytes: &[u8], at: u64) -> Option<String> {
    use iced_x86::{Decoder, DecoderOptions, Formatter, IntelFormatter};
    if bytes.is_empty() {
        return None;
    }
    let decoded = Decoder::with_ip(64, bytes, at, DecoderOptions::NONE).decode();
    if decoded.is_invalid() {
        let text: Vec<_> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        return Some(format!("(bytes {})", text.join(" ")));
    }
    let mut formatter = IntelFormatter::new();
    formatter.options_mut().set_space_after_operand_separator(true);
    formatter.options_mut().set_rip_relative_addresses(true);
    let mut text = String::new();
    formatter.format(&decoded, &mut text);
    Some(text)
}
