//! Structures that an event of the catalog passes to the routines it rings.

use std::ptr::NonNull;

use executive::{Platform, PoolKind};
use nt::NTSTATUS;
use nt::catalog::Structure;

use super::world::World;

/// Structures made for one event, freed with this value.
pub(crate) struct Arguments<'a> {
    world: &'a World,
    blocks: Vec<(NonNull<u8>, usize)>,
    /// The one status variable of the event.
    status: Option<NonNull<u8>>,
}

impl<'a> Arguments<'a> {
    /// Starts with nothing.
    pub(crate) fn new(world: &'a World) -> Self {
        Self { world, blocks: Vec::new(), status: None }
    }

    /// Returns what the routines left in the status variable, success where there is none.
    pub(crate) fn status(&self) -> NTSTATUS {
        let read = |place: NonNull<u8>| {
            // SAFETY: four bytes of a block that lives as long as this value.
            unsafe { place.cast::<u32>().read_volatile() }
        };
        NTSTATUS(self.status.map_or(0, read))
    }

    /// Makes a zeroed `structure` with `members` set, and returns its address.
    ///
    /// # Errors
    ///
    /// Fails where there is no pool for it.
    pub(crate) fn place(
        &mut self,
        structure: Structure,
        members: &[(&'static str, u64)],
    ) -> Result<u64, String> {
        if structure == Structure::InOutStatus
            && let Some(place) = self.status
        {
            return Ok(place.as_ptr().expose_provenance() as u64);
        }
        let bytes = structure.size();
        let block = self.world.allocate(PoolKind::NonPagedNx, bytes);
        let block = block.ok_or_else(|| format!("no pool for a {}", structure.name()))?;
        self.blocks.push((block, bytes));
        // SAFETY: a fresh block of that many bytes.
        unsafe { block.as_ptr().write_bytes(0, bytes) };
        for (name, value) in members {
            let Some(member) = structure.member(name) else { continue };
            let value = value.to_le_bytes();
            for (offset, byte) in (member.offset..).zip(&value[..member.size.min(8)]) {
                // SAFETY: members lie inside their structure, which the catalog's tests hold.
                unsafe { block.as_ptr().wrapping_add(offset).write(*byte) };
            }
        }
        if structure == Structure::InOutStatus {
            self.status = Some(block);
        }
        Ok(block.as_ptr().expose_provenance() as u64)
    }
}

impl Drop for Arguments<'_> {
    fn drop(&mut self) {
        for (block, bytes) in self.blocks.drain(..) {
            // SAFETY: allocated by `place` with these bytes; the event is over, and routines may not keep its arguments.
            unsafe { self.world.release(PoolKind::NonPagedNx, block, bytes) };
        }
    }
}
