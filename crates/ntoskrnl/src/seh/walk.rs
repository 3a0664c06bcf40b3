//! Looking at one's own stack.

use nt::CONTEXT;

use crate::export::Address;
use crate::guest::{Guest, GuestSlice};
use crate::kernel::Kernel;

/// `UNW_FLAG_EHANDLER` and `UNW_FLAG_UHANDLER`.
const FOR_EXCEPTIONS: u32 = 1;
const FOR_UNWINDING: u32 = 2;

/// Writes the caller's registers; those that no call preserves are zero.
pub(crate) fn RtlCaptureContext(k: &Kernel, context: Guest<CONTEXT>) {
    k.host().capture(context);
}

/// Finds the function table's entry for an address. Null for a leaf function.
pub(crate) fn RtlLookupFunctionEntry(k: &Kernel, pc: u64, base: Guest<u64>, _history: Address) -> Address {
    let found = k.host().function_entry(pc);
    let image = found.map(|(image, _)| image).or_else(|| k.host().module_at(pc).map(|(image, _)| image));
    base.write(image.unwrap_or(0));
    Address(found.map_or(0, |(_, entry)| entry))
}

/// Makes the registers of a frame those of its caller. Returns its handler, where it has one of the kind and is in its body. What is
/// undone is found by the address, whatever entry the caller names.
#[expect(clippy::too_many_arguments, reason = "NT's own prototype")]
pub(crate) fn RtlVirtualUnwind(
    k: &Kernel,
    kind: u32,
    _base: u64,
    pc: u64,
    _function: Address,
    context: Guest<CONTEXT>,
    data: Guest<u64>,
    establisher: Guest<u64>,
    places: Address,
) -> Address {
    if places != Address::NULL {
        k.partial("RtlVirtualUnwind", "it is not told where on the stack the registers were saved");
    }
    let Some(frame) = k.host().unwind_frame(pc, context) else {
        k.raise(nt::STATUS_BAD_STACK, "a driver unwound a frame that is none");
    };
    establisher.write(frame.establisher);
    let wanted = [kind & FOR_EXCEPTIONS != 0, kind & FOR_UNWINDING != 0];
    let called = wanted.into_iter().zip(frame.called_for).any(|(wanted, called)| wanted && called);
    match frame.handler {
        Some([routine, at]) if called => {
            data.write(at);
            Address(routine)
        }
        _ => Address::NULL,
    }
}

/// Copies the return addresses of the stack, the caller's first. Returns how many; their sum is the hash.
pub(crate) fn RtlCaptureStackBackTrace(
    k: &Kernel,
    skip: u32,
    count: u32,
    trace: Address,
    hash: Option<Guest<u32>>,
) -> u16 {
    let stack = k.host().back_trace();
    let frames: Vec<u64> =
        stack.into_iter().skip(skip as usize).take(count.min(u32::from(u16::MAX)) as usize).collect();
    GuestSlice::<u64>::new(k, trace.0, frames.len()).fill_from(&frames);
    if let Some(hash) = hash {
        hash.write(frames.iter().fold(0, |sum: u32, frame| sum.wrapping_add(*frame as u32)));
    }
    frames.len() as u16
}

/// Returns where the image begins that an address lies in.
pub(crate) fn RtlPcToFileHeader(k: &Kernel, pc: Address, base: Guest<u64>) -> Address {
    let image = k.host().module_at(pc.0).map_or(0, |(image, _)| image);
    base.write(image);
    Address(image)
}
