//! The language handler on tables made by hand; the machine's part is tested with a real driver.

use std::cell::RefCell;

use nt::exception_flags::{EXCEPTION_TARGET_UNWIND, EXCEPTION_UNWINDING};
use nt::{CONTEXT, DISPATCHER_CONTEXT, EXCEPTION_RECORD};

use crate::testing::{Code, Rig, zeroed};

fn at<T: ?Sized>(value: &mut T) -> u64 {
    std::ptr::from_mut(value).cast::<u8>().expose_provenance() as u64
}

thread_local! {
    /// What was called, and with which arguments.
    static CALLS: RefCell<Vec<(&'static str, u64, u64)>> = const { RefCell::new(Vec::new()) };
}

fn note(name: &'static str, first: u64, second: u64) {
    CALLS.with_borrow_mut(|calls| calls.push((name, first, second)));
}

unsafe extern "win64-unwind" fn pass(pointers: u64, frame: u64, _: u64, _: u64) -> u64 {
    let pointers = std::ptr::with_exposed_provenance::<u64>(pointers as usize);
    // SAFETY: the handler passes the address of the two pointers.
    note("pass", unsafe { pointers.read() }, frame);
    0
}

unsafe extern "win64-unwind" fn go_on(_: u64, frame: u64, _: u64, _: u64) -> u64 {
    note("go on", 0, frame);
    u64::from(u32::MAX)
}

unsafe extern "win64-unwind" fn take(_: u64, frame: u64, _: u64, _: u64) -> u64 {
    note("take", 0, frame);
    1
}

unsafe extern "win64-unwind" fn clean(abnormal: u64, frame: u64, _: u64, _: u64) -> u64 {
    note("clean", abnormal, frame);
    0
}

/// Runs the handler for a frame that stands at RVA 0x118. Each scope is begin, end, routine (an index below) and target.
struct Frame {
    rig: Rig,
    base: u64,
    record: EXCEPTION_RECORD,
    context: CONTEXT,
    dispatcher: DISPATCHER_CONTEXT,
    table: Vec<u32>,
}

const FRAME: u64 = 0x11_0000_EE00;
const ALWAYS: usize = usize::MAX;

impl Frame {
    fn new(scopes: &[(u32, u32, usize, u32)]) -> Self {
        let routines: [Code; 4] = [pass, go_on, take, clean];
        let addresses = routines.map(|routine| (routine as *const ()).expose_provenance() as u64);
        let base = addresses.into_iter().min().unwrap() - 0x1000;
        let mut table = vec![scopes.len() as u32];
        for (begin, end, routine, target) in scopes {
            let handler = addresses.get(*routine).map_or(1, |address| (address - base) as u32);
            table.extend([*begin, *end, handler, *target]);
        }
        let mut frame =
            Self { rig: Rig::new(), base, record: zeroed(), context: zeroed(), dispatcher: zeroed(), table };
        frame.record.ExceptionCode = 0xC000_0094;
        frame.dispatcher.ImageBase = base;
        frame.dispatcher.ControlPc = base + 0x118;
        frame
    }

    fn arguments(&mut self) -> [u64; 4] {
        CALLS.take();
        self.dispatcher.HandlerData = self.table.as_mut_ptr().cast();
        [at(&mut self.record), FRAME, at(&mut self.context), at(&mut self.dispatcher)]
    }

    fn call(&mut self) -> u64 {
        let arguments = self.arguments();
        self.rig.call("__C_specific_handler", &arguments)
    }
}

#[test]
fn filters_are_asked_from_the_inside_out_until_one_decides() {
    let mut frame = Frame::new(&[(0x110, 0x120, 0, 0x150), (0x110, 0x130, 3, 0), (0x100, 0x140, 1, 0x160)]);
    assert_eq!(frame.call(), 0, "the driver goes on");
    let record = at(&mut frame.record);
    assert_eq!(CALLS.take(), [("pass", record, FRAME), ("go on", 0, FRAME)]);

    let mut frame = Frame::new(&[(0x110, 0x118, 2, 0x150), (0x110, 0x120, 0, 0x150)]);
    assert_eq!(frame.call(), 1, "nobody: the first block ends before");
    assert_eq!(CALLS.take().len(), 1);
    frame.dispatcher.ScopeIndex = 2;
    assert_eq!(frame.call(), 1);
    assert!(CALLS.take().is_empty(), "behind the last");
}

#[test]
fn who_takes_it_is_unwound_to() {
    for routine in [2, ALWAYS] {
        let mut frame = Frame::new(&[(0x110, 0x120, 0, 0x150), (0x100, 0x140, routine, 0x160)]);
        let arguments = frame.arguments();
        let check = frame.rig.bugcheck("__C_specific_handler", &arguments);
        assert_eq!(check.parameters[..3], [u64::from(nt::STATUS_UNWIND.0), frame.base + 0x160, FRAME]);
    }
}

#[test]
fn the_second_pass_runs_termination_routines_once() {
    let scopes = [(0x110, 0x120, 3, 0), (0x100, 0x140, 2, 0x160), (0x100, 0x150, 3, 0)];
    let mut frame = Frame::new(&scopes);
    frame.record.ExceptionFlags = EXCEPTION_UNWINDING;
    assert_eq!(frame.call(), 1);
    assert_eq!(CALLS.take(), [("clean", 1, FRAME), ("clean", 1, FRAME)]);
    assert_eq!(frame.dispatcher.ScopeIndex, 3, "behind the last that ran");
    assert_eq!(frame.call(), 1);
    assert!(CALLS.take().is_empty(), "an unwind that takes over runs none again");

    let mut frame = Frame::new(&scopes);
    frame.record.ExceptionFlags = EXCEPTION_UNWINDING | EXCEPTION_TARGET_UNWIND;
    frame.dispatcher.TargetIp = frame.base + 0x160;
    assert_eq!(frame.call(), 1);
    assert_eq!(CALLS.take(), [("clean", 1, FRAME)], "up to the block that it leads to");
}

#[test]
fn a_table_that_is_no_memory_faults() {
    let mut frame = Frame::new(&[]);
    let mut arguments = frame.arguments();
    frame.dispatcher.HandlerData = std::ptr::without_provenance_mut(0x30);
    frame.rig.faults("__C_specific_handler", &arguments);
    arguments[3] = 0x40;
    frame.rig.faults("__C_specific_handler", &arguments);
}

#[test]
fn raising_by_record_and_unwinding_by_hand() {
    let mut frame = Frame::new(&[]);
    frame.record.NumberParameters = 99;
    frame.record.ExceptionInformation[1] = 7;
    for name in ["RtlRaiseException", "ExRaiseException"] {
        let check = frame.rig.bugcheck(name, &[at(&mut frame.record)]);
        assert_eq!(check.parameters, [0xC000_0094, crate::testing::RETURN_ADDRESS, 0, 7]);
    }
    let [record, ..] = frame.arguments();
    let context = at(&mut frame.context);
    for (name, arguments) in [
        ("RtlUnwind", &[FRAME, 0x14_0010, record, 3][..]),
        ("RtlUnwindEx", &[FRAME, 0x14_0010, 0, 3, context, 0]),
        ("_local_unwind", &[FRAME, 0x14_0010]),
    ] {
        let check = frame.rig.bugcheck(name, arguments);
        assert_eq!(check.parameters[..3], [u64::from(nt::STATUS_UNWIND.0), 0x14_0010, FRAME], "{name}");
    }
}

#[test]
fn looking_at_the_stack() {
    let rig = Rig::new();
    let mut context: CONTEXT = zeroed();
    rig.call("RtlCaptureContext", &[at(&mut context)]);
    assert_eq!(context.Rip, crate::testing::RETURN_ADDRESS);
    let mut base = 1u64;
    assert_eq!(rig.call("RtlPcToFileHeader", &[0x14_1000, at(&mut base)]), 0x14_0000);
    assert_eq!(base, 0x14_0000);
    assert_eq!(rig.call("RtlPcToFileHeader", &[0x13_1000, at(&mut base)]), 0);
    assert_eq!(base, 0);
    assert_eq!(rig.call("RtlLookupFunctionEntry", &[0x14_1000, at(&mut base), 0]), 0);
    assert_eq!(base, 0x14_0000);
    let (mut trace, mut hash) = ([0u64; 4], 0u32);
    assert_eq!(rig.call("RtlCaptureStackBackTrace", &[0, 4, at(&mut trace), at(&mut hash)]), 1);
    assert_eq!((trace[0], hash), (crate::testing::RETURN_ADDRESS, crate::testing::RETURN_ADDRESS as u32));
    assert_eq!(rig.call("RtlCaptureStackBackTrace", &[1, 4, at(&mut trace), 0]), 0);
    let (mut data, mut establisher) = (0u64, 0u64);
    let arguments = [1, 0, 0x14_1000, 0, at(&mut context), at(&mut data), at(&mut establisher), 0];
    let check = rig.bugcheck("RtlVirtualUnwind", &arguments);
    assert_eq!(check.parameters[0], u64::from(nt::STATUS_BAD_STACK.0), "this host has no frames");
}
