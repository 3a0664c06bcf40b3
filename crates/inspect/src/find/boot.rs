//! Which boot an image is of, and what ended it.
//!
//! Windows writes code and parameters of a bugcheck, the time and the time since boot into the header of a crash dump. Any image may hold
//! `KUSER_SHARED_DATA`, which lies at one address in every x64 kernel (`ntddk.h`): the same times, and since Windows 10 a number that counts boots.
//! The page is preferred, because a header may be filled in by whoever wrote the file.

use core::mem::offset_of;

use nt::{KSYSTEM_TIME, KUSER_SHARED_DATA, KUSER_SHARED_DATA_ADDRESS};
use record::{FoundBoot, FoundBugcheck, Value};

use super::words::value;
use crate::fields::{u32_at, u64_at};
use crate::memory::Memory;
use crate::memory_image::MemoryImage;

/// What a field of a header holds that nobody wrote to: `PAGE`.
const UNWRITTEN: u32 = u32::from_le_bytes(*b"PAGE");
const UNWRITTEN_TIME: u64 = UNWRITTEN as u64 | (UNWRITTEN as u64) << 32;

/// Tells what Windows stopped for.
pub(super) fn bugcheck(image: &MemoryImage) -> Value<FoundBugcheck> {
    match image.header() {
        None => Value::not_applicable("only the header of a crash dump tells of one"),
        Some(header) if header.bugcheck == 0 => {
            Value::not_applicable("the dump was written while the machine ran")
        }
        Some(header) if header.bugcheck == UNWRITTEN => {
            Value::not_found("nobody wrote one into the header of the dump")
        }
        Some(header) => {
            Value::Known(FoundBugcheck { code: header.bugcheck, parameters: header.bugcheck_parameters })
        }
    }
}

/// Tells the boot.
pub(super) fn read(image: &MemoryImage, memory: &dyn Memory) -> FoundBoot {
    let mut page = [0; size_of::<KUSER_SHARED_DATA>()];
    let shared = memory.read(KUSER_SHARED_DATA_ADDRESS, &mut page).map_err(|partial| partial.missing);
    let id = match &shared {
        Err(missing) => value(Err(*missing)),
        Ok(()) => match u32_at(&page, offset_of!(KUSER_SHARED_DATA, BootId)) {
            0 => Value::not_applicable("the kernel numbers no boots"),
            id => Value::Known(id),
        },
    };
    let times = shared.is_ok().then(|| {
        let [now, up] =
            [offset_of!(KUSER_SHARED_DATA, SystemTime), offset_of!(KUSER_SHARED_DATA, InterruptTime)]
                .map(|at| time(&page, at));
        // A machine that was booted this moment has been up for no time, but the calendar never shows zero.
        Some((now.filter(|now| *now != 0)?, up?, "KUSER_SHARED_DATA"))
    });
    let header = || {
        let header = image.header()?;
        let written = |time: u64| (time != 0 && time != UNWRITTEN_TIME).then_some(time);
        Some((written(header.system_time)?, written(header.up_time)?, "the dump header"))
    };
    match times.flatten().or_else(header) {
        Some((now, up, from)) => FoundBoot {
            id,
            system_time: Value::Known(now),
            up_time: Value::Known(up),
            times_from: from.to_owned(),
        },
        None => {
            let why = match &shared {
                Ok(()) => Value::not_found("the kernel's clock does not show a time"),
                Err(missing) => value(Err(*missing)),
            };
            FoundBoot { id, system_time: why.clone(), up_time: why, times_from: String::new() }
        }
    }
}

/// Reads a `KSYSTEM_TIME`. `None` where it is being written.
fn time(page: &[u8], at: usize) -> Option<u64> {
    let high = |field: usize| u32_at(page, at + field);
    let same = high(offset_of!(KSYSTEM_TIME, High1Time)) == high(offset_of!(KSYSTEM_TIME, High2Time));
    same.then(|| u64_at(page, at))
}
