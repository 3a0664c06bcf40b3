//! Hand-made streams for the rules' tests.

use record::{
    CreateOutcome, Ending, Event, HangRecord, Left, LeftKind, Made, Mode, Module, Modules, ObjectSnapshot,
    Snapshot, Symbol, What,
};

/// `a.sys` at 0x1_0000 and `b.sys` at 0x2_0000, 64 KiB each, and the kernel.
pub(crate) fn modules() -> Modules {
    let module = |name: &str, base: u64| Module {
        name: name.into(),
        base,
        size: 0x1_0000,
        symbols: vec![
            Symbol { rva: 0x100, name: "DriverEntry".into() },
            Symbol { rva: 0x200, name: "OnRing".into() },
        ],
    };
    Modules(vec![module("nt", 0x9_0000), module("a.sys", 0x1_0000), module("b.sys", 0x2_0000)])
}

/// Code in `a.sys` (`DriverEntry+0x10`).
pub(crate) const IN_A: u64 = 0x1_0110;
/// Code in `b.sys`.
pub(crate) const IN_B: u64 = 0x2_0110;
/// A routine of `a.sys`.
pub(crate) const ROUTINE_A: u64 = 0x1_0200;
/// An object.
pub(crate) const OBJECT: u64 = 0x50_0030;

/// Builds a stream from (caller, what) pairs.
pub(crate) fn stream(whats: impl IntoIterator<Item = (u64, What)>) -> Vec<Event> {
    whats
        .into_iter()
        .enumerate()
        .map(|(sequence, (caller, what))| Event {
            sequence: sequence as u64,
            time: 0,
            processor: 0,
            thread: 4,
            irql: 0,
            caller: (caller != 0).then_some(caller),
            stack: Vec::new(),
            what,
        })
        .collect()
}

/// An attempt on `\Callback\X`.
pub(crate) fn attempt(attributes: u32) -> What {
    What::CreateAttempt { name: Some(NAME.into()), name_at: 0x77, attributes, create: true, multiple: true }
}

/// Its result.
pub(crate) fn result(outcome: CreateOutcome) -> What {
    let failed = outcome == CreateOutcome::Failed;
    What::CreateResult {
        name: Some(NAME.into()),
        outcome,
        object: if failed { 0 } else { OBJECT },
        status: if failed { 0xC000_0034 } else { 0 },
    }
}

/// The name the streams use.
pub(crate) const NAME: &str = r"\Callback\X";

/// The object in a snapshot.
pub(crate) fn object(permanent: bool) -> ObjectSnapshot {
    ObjectSnapshot {
        address: OBJECT,
        header: OBJECT - 0x30,
        name: Some(NAME.into()),
        former_name: None,
        permanent,
        allow_multiple: true,
        pointer_count: 2,
        handle_count: 0,
        flags: if permanent { 0x12 } else { 0x02 },
        info_mask: 2,
        security_descriptor: 1,
        listeners: vec![],
    }
}

/// The departure of `driver` with `objects` alive.
pub(crate) fn departure(driver: &str, objects: Vec<ObjectSnapshot>) -> What {
    What::Audit { driver: Some(driver.into()), snapshot: Snapshot { objects, namespace: vec![] } }
}

/// One thing that is left behind and was made at `caller`.
pub(crate) fn left(kind: LeftKind, caller: u64) -> Left {
    Left {
        kind,
        address: 0x7000,
        object_type: None,
        name: None,
        thread: None,
        routine: None,
        due: None,
        running: false,
        made: made(caller),
    }
}

/// Made at `caller`, by the code behind it.
pub(crate) fn made(caller: u64) -> Made {
    Made { caller, time: 20_000_007, stack: vec![caller, caller + 1] }
}

/// What `driver` leaves behind.
pub(crate) fn left_behind(driver: &str, things: Vec<Left>) -> What {
    What::LeftBehind { driver: driver.into(), things }
}

/// The ending of a run that was played to its end.
pub(crate) const FINISHED: Ending = Ending::Finished;

/// A registration of `ROUTINE_A`.
pub(crate) const REGISTRATION: u64 = 0x600;

pub(crate) fn registered(routine: u64) -> What {
    What::Registered { object: OBJECT, registration: REGISTRATION, routine, context: 0 }
}

pub(crate) fn notify(object: u64, mode: Mode) -> What {
    What::NotifyBegin { object, argument1: 0, argument2: 0, mode }
}

pub(crate) fn delivery() -> What {
    What::DeliveryBegin { object: OBJECT, registration: REGISTRATION, routine: ROUTINE_A, context: 0 }
}

pub(crate) fn delivered(irql: u8) -> What {
    What::DeliveryEnd { registration: REGISTRATION, routine: ROUTINE_A, irql }
}

/// A deadlock found while `a.sys` was called.
pub(crate) fn deadlock() -> Ending {
    let details = vec!["thread 4 waits without a limit".into()];
    Ending::Hang(HangRecord {
        limit_ms: 0,
        at: Some(IN_A),
        stack: Vec::new(),
        deadlock: true,
        details,
        waits: Vec::new(),
        cycles: Vec::new(),
    })
}
