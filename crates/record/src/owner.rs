//! Whose a thing is that somebody waits for, by the pool block it lies in.

use alloc::format;
use alloc::string::{String, ToString};

use crate::{Event, Modules, PoolBlockRecord, WaitKind, WaitedFor, What};

/// Returns the name of what is waited for: its address, and the device or pool block it lies in. `None` for what is no thing in memory, and
/// where nothing is known.
pub(crate) fn name(on: &WaitedFor, events: &[Event], modules: &Modules) -> Option<String> {
    match on.kind {
        WaitKind::Timer
        | WaitKind::Event
        | WaitKind::Semaphore
        | WaitKind::Mutex
        | WaitKind::Object
        | WaitKind::FastMutex
        | WaitKind::Resource
        | WaitKind::PushLock
        | WaitKind::SpinLock
        | WaitKind::Rundown
        | WaitKind::RemoveLock
        | WaitKind::Request => {}
        _ => return None,
    }
    let block = on.block.as_ref()?;
    let device = device(block, events).map(|device| format!("{device}: ")).unwrap_or_default();
    Some(format!("{:#x} ({device}{})", on.address, block_of(block, on.address, modules)))
}

/// Returns the device whose object and extension are this block.
fn device(block: &PoolBlockRecord, events: &[Event]) -> Option<String> {
    let inside = |device: u64| (block.address..block.address.saturating_add(block.bytes)).contains(&device);
    let last = events.iter().rev().find_map(|event| match &event.what {
        What::DeviceCreated { device, name } if inside(*device) => Some(Some((name, *device))),
        What::DeviceDeleted { device } if inside(*device) => Some(None),
        _ => None,
    });
    let (name, device) = last.flatten()?;
    Some(match name {
        Some(name) => format!("the device {name}"),
        None => format!("the unnamed device {device:#x}"),
    })
}

fn block_of(block: &PoolBlockRecord, address: u64, modules: &Modules) -> String {
    let by = |who: u64| match who {
        0 => String::from("the kernel"),
        who => modules.locate(who).to_string(),
    };
    let freed = block.freed_by.map(|who| format!(", freed by {}", by(who))).unwrap_or_default();
    format!(
        "at {:#x} in {} bytes of {} pool tagged `{}`, allocated by {}{freed}",
        address.wrapping_sub(block.address),
        block.bytes,
        if block.paged { "paged" } else { "nonpaged" },
        block.tag.to_le_bytes().escape_ascii(),
        by(block.allocated_by),
    )
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::{Module, Symbol};

    fn modules() -> Modules {
        let symbols = [Symbol { rva: 0x100, name: "DriverEntry".into() }].to_vec();
        Modules([Module { name: "a.sys".into(), base: 0x1_0000, size: 0x1000, symbols }].to_vec())
    }

    fn event(what: What) -> Event {
        Event {
            sequence: 0,
            time: 0,
            processor: 0,
            thread: 8,
            irql: 0,
            caller: None,
            stack: Vec::new(),
            what,
        }
    }

    fn on(kind: WaitKind, address: u64) -> WaitedFor {
        WaitedFor { kind, address, name: None, block: None, holders: Vec::new() }
    }

    #[test]
    fn a_lock_in_pool_is_told_by_its_block_and_a_device_by_its_name() {
        let block = PoolBlockRecord {
            address: 0x7000,
            bytes: 64,
            tag: u32::from_le_bytes(*b"Rng1"),
            paged: false,
            allocated_by: 0x1_0110,
            freed_by: None,
        };
        let mut lock = WaitedFor { block: Some(block), ..on(WaitKind::FastMutex, 0x7010) };
        let told = name(&lock, &[], &modules()).unwrap();
        let place =
            "at 0x10 in 64 bytes of nonpaged pool tagged `Rng1`, allocated by a.sys+0x110 (DriverEntry+0x10)";
        assert_eq!(told, format!("0x7010 ({place})"));
        let device = event(What::DeviceCreated { device: 0x7000, name: Some("\\Device\\A".into()) });
        let told = name(&lock, core::slice::from_ref(&device), &modules()).unwrap();
        assert_eq!(told, format!("0x7010 (the device \\Device\\A: {place})"));
        let deleted = event(What::DeviceDeleted { device: 0x7000 });
        lock.block =
            Some(PoolBlockRecord { allocated_by: 0, freed_by: Some(0x1_0120), paged: true, ..block });
        let told = name(&lock, &[device, deleted], &modules()).unwrap();
        assert_eq!(
            told,
            "0x7010 (at 0x10 in 64 bytes of paged pool tagged `Rng1`, allocated by the kernel, freed by a.sys+0x120 \
             (DriverEntry+0x20))"
        );
        lock.kind = WaitKind::Routine;
        assert_eq!(name(&lock, &[], &modules()), None, "a registration is told by its routine");
    }
}
