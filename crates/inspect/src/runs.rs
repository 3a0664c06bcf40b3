//! Which physical page lies where in the file: sorted runs.
//!
//! Formats list runs in file order and may lie about them. What two runs both claim belongs to the one that begins
//! lower; what lies beyond the file's end is remembered as cut off; both are said.

use core::ops::Range;

use crate::note::Note;

/// The end of physical memory on x64: 52 address bits.
pub(crate) const PHYSICAL_END: u64 = 1 << 52;

/// The most runs kept: 96 MiB of them. A map with more is cut there, and that is said.
pub(crate) const MAX_RUNS: usize = 1 << 22;

/// The most cut-off ranges remembered one by one; the bytes of further ones are only counted.
const MAX_CUT: usize = 1 << 12;

/// A run of physical memory and its place in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    /// First physical address.
    pub(crate) first: u64,
    /// Bytes.
    pub(crate) length: u64,
    /// Place in the file.
    pub(crate) offset: u64,
}

impl Run {
    pub(crate) fn end(&self) -> u64 {
        self.first + self.length
    }
}

/// Sorted runs that do not overlap and lie within the file.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) runs: Vec<Run>,
    pub(crate) cut: Vec<Range<u64>>,
    pub(crate) present: u64,
}

impl Runs {
    /// Sorts, merges and cuts the runs of a file of `length` bytes.
    pub(crate) fn build(mut runs: Vec<Run>, length: u64, notes: &mut Vec<Note>) -> Self {
        let mut beyond = 0_u64;
        runs.retain_mut(|run| {
            let room = PHYSICAL_END.saturating_sub(run.first).min(u64::MAX - run.offset);
            if run.length > room {
                beyond = beyond.saturating_add(run.length - room);
                run.length = room;
            }
            run.length > 0
        });
        if beyond > 0 {
            notes.push(Note::Impossible { bytes: beyond });
        }
        runs.sort_by_key(|run| run.first);
        merge(&mut runs, notes);
        let mut cut = Vec::new();
        let mut cut_bytes = 0;
        let mut first_cut = u64::MAX;
        let mut present = 0_u64;
        let mut aliased = 0_u64;
        runs.retain_mut(|run| {
            let available = length.saturating_sub(run.offset).min(run.length);
            if available < run.length {
                let lost = run.first + available..run.end();
                cut_bytes = u64::saturating_add(cut_bytes, lost.end - lost.start);
                first_cut = first_cut.min(lost.start);
                if cut.len() < MAX_CUT {
                    cut.push(lost);
                }
                run.length = available;
            }
            // Runs may share bytes of the file, so that a small file claims petabytes. No format does so honestly.
            let room = length - present;
            if run.length > room {
                aliased = aliased.saturating_add(run.length - room);
                run.length = room;
            }
            present += run.length;
            run.length > 0
        });
        if cut_bytes > 0 {
            notes.push(Note::CutOff { bytes: cut_bytes, from: first_cut });
        }
        if aliased > 0 {
            notes.push(Note::Aliased { bytes: aliased });
        }
        Self { runs, cut, present }
    }

    /// Returns the run that holds an address, cut to begin there, or the next one behind it.
    pub(crate) fn at_or_after(&self, address: u64) -> Option<Run> {
        let index = self.runs.partition_point(|run| run.end() <= address);
        let run = self.runs.get(index)?;
        let skip = address.saturating_sub(run.first);
        Some(Run { first: run.first + skip, length: run.length - skip, offset: run.offset + skip })
    }
}

/// Joins runs that continue each other and takes from each run what an earlier one claims.
fn merge(runs: &mut Vec<Run>, notes: &mut Vec<Note>) {
    let mut claimed_twice = 0_u64;
    let mut first_twice = u64::MAX;
    let mut kept: usize = 0;
    for index in 0..runs.len() {
        let mut run = runs[index];
        if let Some(last) = kept.checked_sub(1).map(|last| runs[last]) {
            let same = run.offset.wrapping_sub(run.first) == last.offset.wrapping_sub(last.first);
            if run.first <= last.end() && same {
                runs[kept - 1].length = last.end().max(run.end()) - last.first;
                continue;
            }
            if run.first < last.end() {
                let overlap = last.end().min(run.end()) - run.first;
                claimed_twice = claimed_twice.saturating_add(overlap);
                first_twice = first_twice.min(run.first);
                run = Run {
                    first: run.first + overlap,
                    length: run.length - overlap,
                    offset: run.offset + overlap,
                };
                if run.length == 0 {
                    continue;
                }
            }
        }
        runs[kept] = run;
        kept += 1;
    }
    runs.truncate(kept);
    if claimed_twice > 0 {
        notes.push(Note::Overlap { bytes: claimed_twice, at: first_twice });
    }
}
