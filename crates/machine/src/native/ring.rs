//! The event ring: the kernel process writes, the parent reads, nothing is dropped.
//!
//! A frame is one header word (payload length in bytes, whether more frames continue the same event, a check number)
//! and the payload, a postcard [`Event`], in whole words. Head and tail count words and never wrap in practice (2^64
//! words); only positions are taken modulo the size. The writer publishes a frame by storing the head with release
//! ordering after its words; the reader acquires the head, copies the words out and only then looks at them.
//!
//! The parent trusts nothing here: driver code shares the writer's address space. Every length is checked against the
//! head, every event's sequence number must be the next one, and the first thing that is wrong stops the reading for
//! good with a reason that ends up in the report (*tainted*).

use std::cell::Cell;
use std::sync::atomic::Ordering;

use record::Event;

use super::shared::{Shared, load_bytes};

/// Exclusive-or'ed over a frame's running number, so that a header of zeros is no header.
const CHECK: u32 = 0x5242_4c4c; // 'RBLL'

/// Set in a header's length where the next frame continues the event.
const MORE: u32 = 1 << 31;

/// Longest event the parent takes.
const LONGEST: usize = 256 << 20;

fn header(length: u32, more: bool, frame: u64) -> u64 {
    let check = CHECK ^ frame as u32;
    u64::from(length | if more { MORE } else { 0 }) | u64::from(check) << 32
}

/// The kernel process's end.
#[derive(Debug)]
pub(crate) struct Writer<'a> {
    shared: &'a Shared,
    head: Cell<u64>,
    frame: Cell<u64>,
}

impl<'a> Writer<'a> {
    /// Takes the writing end of a fresh ring.
    pub(crate) fn new(shared: &'a Shared) -> Self {
        Self { shared, head: Cell::new(0), frame: Cell::new(0) }
    }

    /// Begins again: the memory was replaced by fresh one.
    pub(crate) fn restart(&self) {
        self.head.set(0);
        self.frame.set(0);
    }

    /// Writes an event, calling `wait` as often as the ring is full; `wait` returns after the parent has read.
    pub(crate) fn push(&self, event: &[u8], mut wait: impl FnMut()) {
        // A quarter of the ring at a time, so that reading and writing overlap for long events.
        let longest = (self.shared.ring().len() / 4 - 1) * 8;
        let mut chunks = event.chunks(longest).peekable();
        while let Some(chunk) = chunks.next() {
            self.push_frame(chunk, chunks.peek().is_some(), &mut wait);
        }
    }

    fn push_frame(&self, payload: &[u8], more: bool, wait: &mut impl FnMut()) {
        let ring = self.shared.ring();
        let size = ring.len() as u64;
        let mask = ring.len() - 1;
        let head = self.head.get();
        let end = head + 1 + payload.len().div_ceil(8) as u64;
        // Acquire: the reader has copied the words before it moved the tail.
        while end - self.shared.tail().load(Ordering::Acquire).min(head) > size {
            wait();
        }
        let length = payload.len() as u32;
        ring[head as usize & mask].store(header(length, more, self.frame.get()), Ordering::Relaxed);
        for (index, chunk) in payload.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let position = (head as usize + 1 + index) & mask;
            ring[position].store(u64::from_le_bytes(word), Ordering::Relaxed);
        }
        // Release: publishes the words above.
        self.shared.head().store(end, Ordering::Release);
        self.head.set(end);
        self.frame.set(self.frame.get() + 1);
    }
}

/// The parent's end.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    tail: u64,
    frame: u64,
    next: u64,
    partial: Vec<u8>,
    tainted: Option<String>,
}

impl Reader {
    /// Reads a fresh ring whose first event is number `next`.
    pub(crate) fn from(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// Moves everything that is in the ring to `events`.
    pub(crate) fn drain(&mut self, shared: &Shared, events: &mut Vec<Event>) {
        // Acquire: pairs with the writer's release.
        let head = shared.head().load(Ordering::Acquire);
        if self.tainted.is_none()
            && let Err(reason) = self.read_until(shared, head, events)
        {
            self.tainted = Some(reason);
        }
        if self.tainted.is_some() {
            // Nothing is believed any more, but a writer that waits for room must not wait for ever.
            self.tail = head;
        }
        // Release: the words have been copied out.
        shared.tail().store(self.tail, Ordering::Release);
    }

    /// Returns the number the next event must have.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Returns why the ring is not to be believed, if so.
    pub(crate) fn tainted(&self) -> Option<&str> {
        self.tainted.as_deref()
    }

    fn read_until(&mut self, shared: &Shared, head: u64, events: &mut Vec<Event>) -> Result<(), String> {
        let ring = shared.ring();
        let mask = ring.len() - 1;
        match head.checked_sub(self.tail) {
            Some(ahead) if ahead <= ring.len() as u64 => {}
            _ => return Err(format!("the event ring's head {head:#x} is out of range")),
        }
        while self.tail < head {
            let word = ring[self.tail as usize & mask].load(Ordering::Relaxed);
            let length = (word as u32 & !MORE) as usize;
            let more = word as u32 & MORE != 0;
            if word != header(length as u32, more, self.frame) {
                return Err(format!("frame {} of the event ring is damaged", self.frame));
            }
            let end = self.tail + 1 + length.div_ceil(8) as u64;
            if end > head {
                return Err(format!(
                    "frame {} of the event ring is longer than what was written",
                    self.frame
                ));
            }
            for index in 0..length.div_ceil(8) {
                let at = (self.tail as usize + 1 + index) & mask;
                let bytes = load_bytes(&ring[at..=at], (length - index * 8).min(8));
                self.partial.extend_from_slice(&bytes);
            }
            self.tail = end;
            self.frame += 1;
            if more && self.partial.len() <= LONGEST {
                continue;
            }
            let event: Event = postcard::from_bytes(&self.partial)
                .map_err(|error| format!("event {} cannot be read: {error}", self.next))?;
            self.partial.clear();
            if event.sequence != self.next {
                return Err(format!("event {} follows where {} should", event.sequence, self.next));
            }
            self.next += 1;
            events.push(event);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use record::What;

    use super::*;

    fn event(sequence: u64, text: &str) -> Event {
        Event {
            sequence,
            time: sequence * 7,
            processor: 0,
            thread: 8,
            irql: 0,
            caller: None,
            stack: Vec::new(),
            what: What::Note { text: text.into(), details: Vec::new() },
        }
    }

    fn bytes(event: &Event) -> Vec<u8> {
        postcard::to_allocvec(event).unwrap()
    }

    fn shared(words: usize) -> (OwnedFd, Shared) {
        Shared::create(words, [1, 2], b"config").unwrap()
    }

    fn never() {
        panic!("the ring should not be full");
    }

    #[test]
    fn what_is_written_is_read_in_order_over_many_wraps() {
        let (_fd, shared) = shared(64);
        let writer = Writer::new(&shared);
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for sequence in 0..500 {
            let text = "x".repeat(sequence as usize % 60);
            writer.push(&bytes(&event(sequence, &text)), never);
            if sequence % 2 == 1 {
                reader.drain(&shared, &mut events);
            }
        }
        assert_eq!(reader.tainted(), None);
        assert_eq!(events.len(), 500);
        for (sequence, got) in (0..).zip(&events) {
            assert_eq!(*got, event(sequence, &"x".repeat(sequence as usize % 60)));
        }
    }

    #[test]
    fn a_full_ring_makes_the_writer_wait_and_an_event_may_be_longer_than_the_ring() {
        let (_fd, shared) = shared(64);
        let writer = Writer::new(&shared);
        let mut reader = Reader::default();
        let mut events = Vec::new();
        let mut waits = 0;
        let long = event(0, &"long ".repeat(1000));
        writer.push(&bytes(&long), || {
            waits += 1;
            reader.drain(&shared, &mut events);
        });
        assert!(waits > 5, "5 KB went through a ring of 512 bytes with {waits} waits");
        reader.drain(&shared, &mut events);
        assert_eq!(events, [long]);
        assert_eq!(reader.tainted(), None);
    }

    #[test]
    fn everything_written_before_the_writer_died_is_there() {
        let (fd, shared) = shared(1024);
        {
            let theirs = Shared::open(std::os::fd::AsFd::as_fd(&fd)).unwrap();
            let writer = Writer::new(&theirs);
            for sequence in 0..20 {
                writer.push(&bytes(&event(sequence, "before")), never);
            }
        }
        let mut events = Vec::new();
        Reader::default().drain(&shared, &mut events);
        assert_eq!(events.len(), 20);
    }

    #[test]
    fn a_damaged_ring_is_reported_and_never_followed() {
        type Damage = fn(&Shared);
        let damages: [(&str, Damage); 5] = [
            ("out of range", |shared| shared.head().store(u64::MAX, Ordering::Relaxed)),
            ("out of range", |shared| shared.head().store(1 << 20, Ordering::Relaxed)),
            ("damaged", |shared| shared.ring()[0].store(0, Ordering::Relaxed)),
            ("longer than", |shared| {
                shared.ring()[0].store(header(0x7fff_ffff, false, 0), Ordering::Relaxed);
            }),
            ("cannot be read", |shared| {
                for word in &shared.ring()[1..] {
                    word.store(u64::MAX, Ordering::Relaxed);
                }
            }),
        ];
        for (expected, damage) in damages {
            let (_fd, shared) = shared(256);
            let writer = Writer::new(&shared);
            writer.push(&bytes(&event(0, "sound")), never);
            damage(&shared);
            let mut reader = Reader::default();
            let mut events = Vec::new();
            reader.drain(&shared, &mut events);
            assert!(events.is_empty());
            let reason = reader.tainted().expect("damage must be noticed");
            assert!(reason.contains(expected), "`{reason}` should contain `{expected}`");
            reader.drain(&shared, &mut events);
            assert!(events.is_empty());
        }
    }

    #[test]
    fn a_gap_in_the_sequence_is_reported() {
        let (_fd, shared) = shared(256);
        let writer = Writer::new(&shared);
        writer.push(&bytes(&event(0, "first")), never);
        writer.push(&bytes(&event(2, "third")), never);
        let mut reader = Reader::default();
        let mut events = Vec::new();
        reader.drain(&shared, &mut events);
        assert_eq!(events.len(), 1);
        assert_eq!(reader.tainted(), Some("event 2 follows where 1 should"));
    }
}
