//! The memory that parent and kernel process share: header, last words, event ring.
//!
//! | words | what |
//! |---|---|
//! | 0..64 | header: magic, version, nonce, length of the configuration |
//! | 64..512 | configuration (postcard), written by the parent before the kernel process exists |
//! | 512..1024 | last words, written by the kernel process as it dies |
//! | 1024 | head of the ring (words ever written), kernel process |
//! | 1032 | tail of the ring (words ever read), parent |
//! | 1040 | switches of the schedule that was run, kernel process |
//! | 1536.. | those switches, one word each: point (36 bits), thread (22), processor (6) |
//! | 1536 + 2^18.. | the ring |
//!
//! It is an anonymous file, not `/dev/shm` (which containers lack), passed as the kernel process's standard input. It
//! outlives the process: what was written before a crash is read after it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use record::{SCHEDULER_VERSION, Schedule, Switch, Turn};

use super::sys::{self, Mapping};

/// First 16 bytes, as two little-endian words.
pub(crate) const MAGIC: [u64; 2] = [0x6c65_626e_6972_a7d1, 0x9b1e_4c07_5ad3_f862];

/// Version of this layout. Parent and child are the same file, so a difference means a foreign parent.
pub(crate) const VERSION: u64 = 3;

const CONFIG_LENGTH: usize = 5;
const CONFIG: std::ops::Range<usize> = 64..512;
const WORDS: std::ops::Range<usize> = 512..1024;
const HEAD: usize = 1024;
const TAIL: usize = 1032;
const SWITCHES: usize = 1040;
const SCHEDULE: std::ops::Range<usize> = 1536..1536 + Schedule::MOST;
const RING: usize = SCHEDULE.end;

/// Stands for what is no thread where a switch names one; the processor says what: 0 for [`Turn::Step`], [`CLOCK`] for
/// [`Turn::Clock`].
const NO_THREAD: u64 = Schedule::LAST_THREAD as u64 + 1;

/// As above.
const CLOCK: u64 = 1;

/// The shared memory of one machine.
#[derive(Debug)]
pub(crate) struct Shared {
    mapping: Mapping,
}

impl Shared {
    /// Creates the memory with a ring of `ring_words` (a power of two) for a kernel process that is to find `config`.
    pub(crate) fn create(ring_words: usize, nonce: [u64; 2], config: &[u8]) -> io::Result<(OwnedFd, Self)> {
        if !ring_words.is_power_of_two() || config.len() > CONFIG.len() * 8 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let fd = sys::sealed_memory((RING + ring_words) * 8)?;
        let shared = Self { mapping: Mapping::new(fd.as_fd())? };
        let words = shared.mapping.words();
        let header = [MAGIC[0], MAGIC[1], VERSION, nonce[0], nonce[1], config.len() as u64];
        for (word, value) in words.iter().zip(header) {
            word.store(value, Ordering::Relaxed);
        }
        store_bytes(&words[CONFIG], config);
        Ok((fd, shared))
    }

    /// Opens the memory in the kernel process.
    pub(crate) fn open(fd: BorrowedFd<'_>) -> io::Result<Self> {
        let shared = Self { mapping: Mapping::new(fd)? };
        shared.check()?;
        Ok(shared)
    }

    /// Puts fresh memory of the same size in the place of this, in a process that was forked off.
    pub(crate) fn replace(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.mapping.replace(fd)?;
        self.check()
    }

    fn check(&self) -> io::Result<()> {
        let words = self.mapping.words();
        let sound = words.len() > RING
            && (words.len() - RING).is_power_of_two()
            && words[0].load(Ordering::Relaxed) == MAGIC[0]
            && words[1].load(Ordering::Relaxed) == MAGIC[1]
            && words[2].load(Ordering::Relaxed) == VERSION;
        if sound { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
    }

    /// Returns the number both sides know.
    pub(crate) fn nonce(&self) -> [u64; 2] {
        let words = self.mapping.words();
        [words[3].load(Ordering::Relaxed), words[4].load(Ordering::Relaxed)]
    }

    /// Returns the configuration.
    pub(crate) fn config(&self) -> Vec<u8> {
        let words = self.mapping.words();
        let length = words[CONFIG_LENGTH].load(Ordering::Relaxed) as usize;
        load_bytes(&words[CONFIG], length)
    }

    /// Returns the area for last words.
    pub(crate) fn last_words(&self) -> &[AtomicU64] {
        &self.mapping.words()[WORDS]
    }

    /// Appends to the schedule that was run. What does not fit is counted all the same.
    pub(crate) fn record_switch(&self, switch: Switch) {
        let words = self.mapping.words();
        let count = words[SWITCHES].load(Ordering::Relaxed);
        let (thread, processor) = match switch.to {
            Turn::Thread { id, processor } => (u64::from(id), u64::from(processor)),
            Turn::Step => (NO_THREAD, 0),
            Turn::Clock => (NO_THREAD, CLOCK),
        };
        let fits = thread <= NO_THREAD && switch.point < 1 << 36 && processor < 64;
        let place = words[SCHEDULE].get(count as usize).filter(|_| fits);
        match place {
            Some(word) => {
                word.store(switch.point << 28 | thread << 6 | processor, Ordering::Relaxed);
                words[SWITCHES].store(count + 1, Ordering::Release);
            }
            None => words[SWITCHES].store(u64::MAX >> 1, Ordering::Release),
        }
    }

    /// Begins the schedule of a process that is forked off with that of `base`.
    pub(crate) fn inherit(&self, base: &Self) {
        let (words, theirs) = (self.mapping.words(), base.mapping.words());
        let count = theirs[SWITCHES].load(Ordering::Acquire);
        let used = usize::try_from(count).map_or(Schedule::MOST, |count| count.min(Schedule::MOST));
        for (word, value) in words[SCHEDULE].iter().zip(&theirs[SCHEDULE]).take(used) {
            word.store(value.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        words[SWITCHES].store(count, Ordering::Release);
    }

    /// Returns the schedule that was run, `None` where it did not fit.
    pub(crate) fn schedule(&self) -> Option<Schedule> {
        let words = self.mapping.words();
        let count = usize::try_from(words[SWITCHES].load(Ordering::Acquire)).ok()?;
        let read = |word: &AtomicU64| {
            let word = word.load(Ordering::Relaxed);
            let to = match (word >> 6 & 0x3F_FFFF, word & 63) {
                (NO_THREAD, CLOCK) => Turn::Clock,
                (NO_THREAD, _) => Turn::Step,
                (id, processor) => Turn::Thread { id: id as u32, processor: processor as u8 },
            };
            Switch { point: word >> 28, to }
        };
        let switches = words[SCHEDULE].get(..count)?.iter().map(read).collect();
        Some(Schedule { version: SCHEDULER_VERSION, switches })
    }

    /// Returns the ring's count of words written.
    pub(super) fn head(&self) -> &AtomicU64 {
        &self.mapping.words()[HEAD]
    }

    /// Returns the ring's count of words read.
    pub(super) fn tail(&self) -> &AtomicU64 {
        &self.mapping.words()[TAIL]
    }

    /// Returns the ring.
    pub(super) fn ring(&self) -> &[AtomicU64] {
        &self.mapping.words()[RING..]
    }
}

/// Stores as many of `bytes` as fit.
pub(super) fn store_bytes(words: &[AtomicU64], bytes: &[u8]) {
    for (word, chunk) in words.iter().zip(bytes.chunks(8)) {
        let mut value = [0; 8];
        value[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_le_bytes(value), Ordering::Relaxed);
    }
}

/// Loads `length` bytes, or as many as there are.
pub(super) fn load_bytes(words: &[AtomicU64], length: usize) -> Vec<u8> {
    let length = length.min(words.len() * 8);
    let mut bytes = Vec::with_capacity(length.next_multiple_of(8));
    for word in &words[..length.div_ceil(8)] {
        bytes.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
