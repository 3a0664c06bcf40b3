//! What is known of driver images from their bytes alone: worked out once for all machines that are forked off one base.

use std::sync::{Arc, Mutex, PoisonError};

use record::Symbol;

use super::instructions::{self, Trapping};
use crate::Untrapped;

/// Most images that are kept; whoever loads more has them worked out again.
const MOST: usize = 64;

/// What the bytes of an image say. Empty where they are none: the kernel process will say so.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) symbols: Vec<Symbol>,
    /// The instructions in it that show the host and do not trap.
    pub(super) untrapped: Vec<Untrapped>,
}

/// Images and their facts, shared by a base and its forks.
#[derive(Clone, Debug, Default)]
pub(super) struct Known(Arc<Mutex<Vec<Entry>>>);

#[derive(Debug)]
struct Entry {
    bytes: Vec<u8>,
    facts: Arc<Facts>,
}

impl Known {
    /// Returns the facts of an image, on a host whose processor traps what `trapping` says.
    pub(super) fn facts(&self, bytes: &[u8], trapping: Trapping) -> Arc<Facts> {
        {
            let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(entry) = entries.iter().find(|entry| entry.bytes == bytes) {
                return Arc::clone(&entry.facts);
            }
        }
        let facts = Arc::new(work_out(bytes, trapping));
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() < MOST {
            entries.push(Entry { bytes: bytes.to_vec(), facts: Arc::clone(&facts) });
        }
        facts
    }
}

fn work_out(bytes: &[u8], trapping: Trapping) -> Facts {
    let Ok(image) = image::Image::parse(bytes) else { return Facts::default() };
    let symbols = image::Symbols::of(&image);
    Facts {
        symbols: symbols.iter().map(|symbol| Symbol { rva: symbol.rva, name: symbol.name.into() }).collect(),
        untrapped: instructions::search(&image, trapping),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_looked_at_once_and_others_are_not_taken_for_them() {
        let known = Known::default();
        let trapping = Trapping::default();
        let shared = known.clone();
        let first = known.facts(b"no image", trapping);
        assert!(Arc::ptr_eq(&first, &shared.facts(b"no image", trapping)));
        assert!(!Arc::ptr_eq(&first, &shared.facts(b"no imagE", trapping)));
        for number in 0..200_u32 {
            known.facts(&number.to_le_bytes(), trapping);
        }
        assert_eq!(known.0.lock().unwrap().len(), MOST);
    }
}
