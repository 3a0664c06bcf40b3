//! What a dying kernel process leaves in shared memory.
//!
//! The writer may be a signal handler in a process whose heap is damaged: it stores words and does nothing else. Text
//! is fixed-size, instructions travel as bytes, and the parent does the formatting.

use std::sync::atomic::{AtomicU64, Ordering};

use record::Registers;

use super::shared::{load_bytes, store_bytes};

/// Way of dying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    /// Windows would have crashed.
    Bugcheck = 1,
    /// Answer to the parent's question where it hangs.
    Hang = 2,
    /// Nothing can ever run again.
    Deadlock = 3,
    /// An import that is not there was touched.
    Absent = 4,
    /// Too many events.
    EventLimit = 5,
    /// Ringbell itself failed.
    HostPanic = 6,
}

impl Kind {
    fn from_word(word: u64) -> Option<Self> {
        [Self::Bugcheck, Self::Hang, Self::Deadlock, Self::Absent, Self::EventLimit, Self::HostPanic]
            .into_iter()
            .find(|kind| *kind as u64 == word)
    }
}

// Word offsets. A text is a length in bytes followed by its words.
const DONE: usize = 0;
const KIND: usize = 1;
const CODE: usize = 2;
const PARAMETERS: usize = 3;
const AT: usize = 7;
const IRQL: usize = 8;
const THREAD: usize = 9;
const TIME: usize = 10;
const PROCESSOR: usize = 11;
const CALLER: usize = 12;
const ACCESS: usize = 13;
const HAS_REGISTERS: usize = 14;
const REGISTERS: usize = 15;
const STACK: usize = 33;
const STACK_WORDS: usize = 32;
const INSTRUCTION: usize = 66;
const ARGUMENTS: usize = 69;
const MODULE: std::ops::Range<usize> = 73..90;
const NAME: std::ops::Range<usize> = 90..120;
const TEXT: std::ops::Range<usize> = 120..512;

const FINISHED: u64 = 0x646e_6520_6568_7421; // "!the end"

/// The writing side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pen<'a>(pub(crate) &'a [AtomicU64]);

impl Pen<'_> {
    fn set(&self, at: usize, value: u64) {
        self.0[at].store(value, Ordering::Relaxed);
    }

    fn set_text(&self, range: std::ops::Range<usize>, bytes: &[u8]) {
        let longest = (range.len() - 1) * 8;
        let bytes = &bytes[..bytes.len().min(longest)];
        self.set(range.start, bytes.len() as u64);
        store_bytes(&self.0[range.start + 1..range.end], bytes);
    }

    /// Writes bugcheck code and parameters.
    pub(crate) fn bugcheck(&self, code: u32, parameters: [u64; 4]) {
        self.set(CODE, u64::from(code));
        for (index, value) in parameters.into_iter().enumerate() {
            self.set(PARAMETERS + index, value);
        }
    }

    /// Writes the address to blame; 0 for none.
    pub(crate) fn at(&self, address: u64) {
        self.set(AT, address);
    }

    /// Writes where and when, as an event carries it; `caller` 0 for none.
    pub(crate) fn moment(&self, time: u64, processor: u8, thread: u32, irql: u8, caller: u64) {
        self.set(TIME, time);
        self.set(PROCESSOR, u64::from(processor));
        self.set(THREAD, u64::from(thread));
        self.set(IRQL, u64::from(irql));
        self.set(CALLER, caller);
    }

    /// Writes the registers.
    pub(crate) fn registers(&self, registers: &[u64; 18]) {
        self.set(HAS_REGISTERS, 1);
        for (index, value) in registers.iter().enumerate() {
            self.set(REGISTERS + index, *value);
        }
    }

    /// Writes the call stack.
    pub(crate) fn stack(&self, addresses: impl Iterator<Item = u64>) {
        let mut count = 0;
        for address in addresses.take(STACK_WORDS) {
            self.set(STACK + 1 + count, address);
            count += 1;
        }
        self.set(STACK, count as u64);
    }

    /// Writes the bytes at the instruction pointer.
    pub(crate) fn instruction(&self, bytes: &[u8]) {
        self.set_text(INSTRUCTION..INSTRUCTION + 3, bytes);
    }

    /// Writes an absent import: how it was touched (0 call, 1 read, 2 write), by what arguments, and what it is.
    pub(crate) fn absent(&self, access: u64, arguments: [u64; 4], module: &[u8], name: &[u8]) {
        self.set(ACCESS, access);
        for (index, value) in arguments.into_iter().enumerate() {
            self.set(ARGUMENTS + index, value);
        }
        self.set_text(MODULE, module);
        self.set_text(NAME, name);
    }

    /// Writes what happened, in words.
    pub(crate) fn text(&self, text: &[u8]) {
        self.set_text(TEXT, text);
    }

    /// Returns whether last words have been written already.
    pub(crate) fn is_done(&self) -> bool {
        self.0[DONE].load(Ordering::Relaxed) == FINISHED
    }

    /// Finishes.
    pub(crate) fn done(&self, kind: Kind) {
        self.set(KIND, kind as u64);
        // Release: a reader that sees the mark sees everything above.
        self.0[DONE].store(FINISHED, Ordering::Release);
    }
}

/// The reading side: everything, copied out once.
#[derive(Clone, Debug)]
pub(crate) struct LastWords {
    pub(crate) kind: Kind,
    pub(crate) code: u32,
    pub(crate) parameters: [u64; 4],
    pub(crate) at: Option<u64>,
    pub(crate) time: u64,
    pub(crate) processor: u8,
    pub(crate) thread: u32,
    pub(crate) irql: u8,
    pub(crate) caller: Option<u64>,
    pub(crate) access: u64,
    pub(crate) arguments: [u64; 4],
    pub(crate) registers: Option<Registers>,
    pub(crate) stack: Vec<u64>,
    pub(crate) instruction: Vec<u8>,
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) text: String,
}

impl LastWords {
    /// Reads last words, if there are any.
    pub(crate) fn read(words: &[AtomicU64]) -> Option<Self> {
        // Acquire: pairs with `Pen::done`.
        if words[DONE].load(Ordering::Acquire) != FINISHED {
            return None;
        }
        let word = |at: usize| words[at].load(Ordering::Relaxed);
        let some = |value: u64| (value != 0).then_some(value);
        let bytes = |range: std::ops::Range<usize>| {
            let length = usize::try_from(word(range.start)).unwrap_or(usize::MAX);
            load_bytes(&words[range.start + 1..range.end], length)
        };
        let text = |range| String::from_utf8_lossy(&bytes(range)).into_owned();
        let count = word(STACK).min(STACK_WORDS as u64) as usize;
        Some(Self {
            kind: Kind::from_word(word(KIND))?,
            code: word(CODE) as u32,
            parameters: std::array::from_fn(|index| word(PARAMETERS + index)),
            at: some(word(AT)),
            time: word(TIME),
            processor: word(PROCESSOR) as u8,
            thread: word(THREAD) as u32,
            irql: word(IRQL) as u8,
            caller: some(word(CALLER)),
            access: word(ACCESS),
            arguments: std::array::from_fn(|index| word(ARGUMENTS + index)),
            registers: (word(HAS_REGISTERS) == 1)
                .then(|| registers(std::array::from_fn(|index| word(REGISTERS + index)))),
            stack: (0..count).map(|index| word(STACK + 1 + index)).collect(),
            instruction: bytes(INSTRUCTION..INSTRUCTION + 3),
            module: text(MODULE),
            name: text(NAME),
            text: text(TEXT),
        })
    }
}

fn registers(words: [u64; 18]) -> Registers {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags] = words;
    Registers { rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paper() -> Vec<AtomicU64> {
        (0..512).map(|_| AtomicU64::new(0)).collect()
    }

    #[test]
    fn last_words_come_back_whole() {
        let paper = paper();
        let pen = Pen(&paper);
        pen.bugcheck(0xD1, [1, 2, 3, 4]);
        pen.at(0x1234);
        pen.moment(99, 1, 4, 2, 0x777);
        pen.registers(&std::array::from_fn(|index| index as u64));
        pen.stack((0..100).map(|value| value * 16));
        pen.instruction(&[0x48, 0x8b, 0x00]);
        pen.absent(2, [5, 6, 7, 8], b"ntoskrnl.exe", b"NtFoo");
        pen.text(b"boom");
        assert!(LastWords::read(&paper).is_none(), "unfinished words are no words");
        pen.done(Kind::Bugcheck);
        let words = LastWords::read(&paper).unwrap();
        assert_eq!((words.kind, words.code, words.parameters), (Kind::Bugcheck, 0xD1, [1, 2, 3, 4]));
        assert_eq!((words.at, words.caller), (Some(0x1234), Some(0x777)));
        assert_eq!((words.time, words.processor, words.thread, words.irql), (99, 1, 4, 2));
        let registers = words.registers.unwrap();
        assert_eq!((registers.rax, registers.rdi, registers.r15, registers.rip), (0, 7, 15, 16));
        assert_eq!(words.stack.len(), STACK_WORDS);
        assert_eq!(words.instruction, [0x48, 0x8b, 0x00]);
        assert_eq!((words.module.as_str(), words.name.as_str()), ("ntoskrnl.exe", "NtFoo"));
        assert_eq!(words.text, "boom");
    }

    #[test]
    fn garbage_is_survived() {
        let paper: Vec<_> = (0..512).map(|_| AtomicU64::new(u64::MAX)).collect();
        assert!(LastWords::read(&paper).is_none());
        paper[DONE].store(FINISHED, Ordering::Relaxed);
        assert!(LastWords::read(&paper).is_none());
        paper[KIND].store(Kind::Hang as u64, Ordering::Relaxed);
        let words = LastWords::read(&paper).unwrap();
        assert_eq!(words.stack.len(), STACK_WORDS);
        assert!(words.text.len() <= TEXT.len() * 8 * 3);
    }
}
