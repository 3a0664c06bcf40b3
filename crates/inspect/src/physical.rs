//! Physical memory in a file.

use core::ops::Range;

use crate::bitmap::Bitmap;
use crate::memory::{Missing, PAGE_SIZE, PartialRead, Physical, Piece, Why};
use crate::runs::{Run, Runs};
use crate::source::Source;

/// Which page lies where.
#[derive(Debug)]
pub(crate) enum Map {
    Runs(Runs),
    Bitmap(Bitmap),
}

/// A file and its map.
#[derive(Debug)]
pub(crate) struct FilePhysical {
    source: Source,
    map: Map,
    end: u64,
}

impl FilePhysical {
    pub(crate) fn new(source: Source, map: Map) -> Self {
        let end = match &map {
            Map::Runs(runs) => runs.runs.last().map_or(0, Run::end),
            Map::Bitmap(bitmap) => bitmap.end(),
        };
        Self { source, map, end }
    }

    /// Gives the file back.
    pub(crate) fn into_source(self) -> Source {
        self.source
    }

    /// Returns the run that begins exactly at an address, or so much of it as a read of `most` bytes asks for.
    fn at(&self, address: u64, most: u64) -> Option<Run> {
        match &self.map {
            Map::Runs(runs) => runs.at_or_after(address).filter(|run| run.first == address),
            Map::Bitmap(bitmap) => bitmap.at(address, most),
        }
    }

    fn at_or_after(&self, address: u64) -> Option<Run> {
        match &self.map {
            Map::Runs(runs) => runs.at_or_after(address),
            Map::Bitmap(bitmap) => bitmap.at_or_after(address),
        }
    }

    fn why_absent(&self, address: u64) -> Why {
        let cut = match &self.map {
            Map::Runs(runs) => runs.cut.iter().any(|range| range.contains(&address)),
            Map::Bitmap(bitmap) => bitmap.names(address >> 12),
        };
        if cut { Why::CutOff } else { Why::NotInImage }
    }
}

impl Physical for FilePhysical {
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), PartialRead> {
        let mut read = 0;
        while read < buffer.len() {
            let at = address.saturating_add(read as u64);
            let missing = |why| PartialRead { read, missing: Missing { address: at, why } };
            let left = (buffer.len() - read) as u64;
            let Some(run) = self.at(at, left) else { return Err(missing(self.why_absent(at))) };
            let length = run.length.min(left) as usize;
            self.source
                .read_exact_at(run.offset, &mut buffer[read..read + length])
                .map_err(|error| missing(Why::Unreadable(error.kind())))?;
            read += length;
        }
        Ok(())
    }

    fn next_run(&self, from: u64) -> Option<Range<u64>> {
        self.at_or_after(from).map(|run| run.first..run.end())
    }

    fn end(&self) -> u64 {
        self.end
    }

    fn present_bytes(&self) -> u64 {
        match &self.map {
            Map::Runs(runs) => runs.present,
            Map::Bitmap(bitmap) => bitmap.available() * PAGE_SIZE,
        }
    }

    fn contains(&self, address: u64) -> bool {
        self.at(address, 1).is_some()
    }

    fn gather(&self, range: Range<u64>, buffer: &mut [u8], pieces: &mut Vec<Piece>) -> Option<u64> {
        let mut from = range.start;
        let mut filled = 0;
        let mut more = true;
        while more && filled < buffer.len() {
            // One read of the file for all runs that follow each other there.
            let mut batch: Option<(u64, usize)> = None;
            let first_piece = pieces.len();
            let start = filled;
            loop {
                if filled == buffer.len() {
                    break;
                }
                let Some(run) = self.at_or_after(from).filter(|run| run.first < range.end) else {
                    more = false;
                    break;
                };
                let (offset, have) = *batch.get_or_insert((run.offset, 0));
                if run.offset != offset + have as u64 {
                    break;
                }
                let length = run.length.min(range.end - run.first).min((buffer.len() - filled) as u64);
                pieces.push(Piece { physical: run.first, offset: filled, length: length as usize });
                filled += length as usize;
                batch = Some((offset, have + length as usize));
                from = run.first + length;
            }
            let Some((offset, _)) = batch else { break };
            if self.source.read_exact_at(offset, &mut buffer[start..filled]).is_err() {
                self.salvage(buffer, pieces, first_piece);
            }
        }
        (more && from < range.end).then_some(from)
    }
}

impl FilePhysical {
    /// Reads the pieces of a failed batch page by page and drops those the host cannot read.
    fn salvage(&self, buffer: &mut [u8], pieces: &mut Vec<Piece>, first: usize) {
        for whole in pieces.split_off(first) {
            let mut done = 0;
            while done < whole.length {
                let physical = whole.physical + done as u64;
                let in_page = (PAGE_SIZE - physical % PAGE_SIZE) as usize;
                let piece =
                    Piece { physical, offset: whole.offset + done, length: in_page.min(whole.length - done) };
                done += piece.length;
                if self.read(physical, &mut buffer[piece.offset..piece.offset + piece.length]).is_ok() {
                    pieces.push(piece);
                }
            }
        }
    }
}
