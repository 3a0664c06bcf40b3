//! The world as the executive's [`Platform`] and the exports' [`Host`].

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use executive::{Bugcheck, Deadlock, Origin, Platform, PoolKind, Routine};
use nt::{BugCheck, CONTEXT, ETHREAD, Irql, KDPC, KSPIN_LOCK, KTHREAD};
use ntoskrnl::guest::Guest;
use ntoskrnl::{Exception, Host, ThreadBody, Unwind, UnwoundFrame};
use record::{EntryPoint, PoolMisuse, PoolNoticed, PoolWrong, WaitKind, What};

use super::fault::{self, Text};
use super::processor::{self, NOW};
use super::stack::{self, From};
use super::world::World;
use super::{context, exception, giant, ranges};
use crate::plan;

/// Most integer arguments of a driver routine.
const ARGUMENTS: usize = 8;

fn arena(pool: PoolKind) -> usize {
    match pool {
        PoolKind::NonPagedNx => 0,
        PoolKind::NonPaged => 1,
        PoolKind::Paged => 2,
    }
}

impl Platform for World {
    fn irql(&self) -> Irql {
        processor::irql()
    }

    fn set_irql(&self, new: Irql) -> Irql {
        let old = processor::set_irql(new);
        if old >= Irql::DISPATCH && new < Irql::DISPATCH {
            self.pass_by();
        }
        old
    }

    fn processor(&self) -> u8 {
        processor::number()
    }

    fn interrupt(&self, processor: u8) {
        self.wake_idle(processor);
    }

    fn lock_point(&self) {
        self.pass_by();
    }

    fn spin_wait(&self, lock: *const KSPIN_LOCK) {
        self.note_spin(lock.addr());
        // One processor at DISPATCH_LEVEL: whoever holds the lock cannot run until this thread stops.
        let alone = self.scheduler.processors() == 1 && processor::irql() >= Irql::DISPATCH;
        if alone || self.spins_for_ever() {
            let (thread, irql) = (NOW.thread.load(Ordering::Relaxed), processor::irql());
            let lock = lock.addr();
            let text = format!(
                "thread {thread} spins at {irql} on the lock at {lock:#x}, which nobody can ever release"
            );
            self.end_in_deadlock(NOW.caller.load(Ordering::Relaxed), &stack::current(From::Kernel), &text);
        }
        self.scheduler.spin(lock.addr() as u64);
        self.note_wait(None);
        self.take_interrupts();
    }

    fn allocate(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        self.pools.borrow_mut()[arena(pool)].allocate(bytes as u64)
    }

    unsafe fn release(&self, pool: PoolKind, block: NonNull<u8>, bytes: usize) {
        self.pools.borrow_mut()[arena(pool)].release(block, bytes as u64);
    }

    fn allocate_pages(&self, pool: PoolKind, bytes: usize) -> Option<NonNull<u8>> {
        self.pages.borrow_mut()[arena(pool)].allocate(bytes as u64)
    }

    unsafe fn release_pages(&self, pool: PoolKind, block: NonNull<u8>, _bytes: usize) {
        self.pages.borrow_mut()[arena(pool)].release(block);
    }

    fn guards_pool(&self) -> bool {
        true
    }

    fn freed_blocks_kept(&self) -> usize {
        256
    }

    fn damaged_timer(&self) -> Option<String> {
        let (timer, origin) = self.kernel.get()?.damaged_timer()?;
        let place = plan::region(timer).map_or(String::new(), |region| format!(" in the {}", region.name));
        let now = "holds no timer any more";
        Some(format!(
            "the timer at @{timer:#x}{place}, set by @{:#x} and never canceled, {now}",
            origin.caller
        ))
    }

    fn data(&self, bytes: usize, align: usize) -> NonNull<u8> {
        let place = self.decoy.borrow_mut().take_data(bytes, align);
        place.unwrap_or_else(|| panic!("the kernel image has no room for {bytes} bytes of variables"))
    }

    fn text(&self, bytes: usize) -> NonNull<u8> {
        let place = self.decoy.borrow_mut().take_text(bytes);
        place.unwrap_or_else(|| panic!("the kernel image has no room for {bytes} bytes of routines"))
    }

    fn current_thread(&self) -> NonNull<KTHREAD> {
        NonNull::new(processor::current_thread()).unwrap_or_else(|| panic!("no thread is running"))
    }

    fn park(&self, deadline: Option<i64>) {
        self.scheduler.park(deadline);
    }

    fn unpark(&self, thread: NonNull<KTHREAD>) {
        self.scheduler.unpark(thread);
    }

    fn now(&self) -> i64 {
        self.scheduler.now()
    }

    unsafe fn invoke(
        &self,
        routine: Routine,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        let arguments = [context, argument1, argument2].map(|word| word.expose_provenance() as u64);
        // SAFETY: the caller's promise.
        unsafe { self.call_driver(routine.0 as u64, &arguments) };
    }

    unsafe fn invoke_notification(&self, routine: Routine, arguments: [*mut c_void; 6]) {
        let arguments = arguments.map(|word| word.expose_provenance() as u64);
        // SAFETY: the caller's promise.
        unsafe { self.call_driver(routine.0 as u64, &arguments) };
    }

    unsafe fn invoke_dpc(
        &self,
        routine: Routine,
        dpc: *mut KDPC,
        context: *mut c_void,
        argument1: *mut c_void,
        argument2: *mut c_void,
    ) {
        let arguments = [dpc.cast(), context, argument1, argument2]
            .map(|word: *mut c_void| word.expose_provenance() as u64);
        NOW.dpc.fetch_add(1, Ordering::Relaxed);
        // A DPC has a stack of its own on Windows: what it interrupted did not call it.
        let interrupted = NOW.entry.swap(0, Ordering::Relaxed);
        let caller = NOW.caller.swap(0, Ordering::Relaxed);
        let (entry, name, routine) =
            (EntryPoint::Dpc, || format!("processor {}", processor::number()), routine.0 as u64);
        self.record(What::EntryCalled { entry, name: name(), routine });
        // SAFETY: the caller's promise.
        unsafe { self.call_driver(routine, &arguments) };
        let irql = processor::irql().0;
        self.record(What::EntryReturned { entry, name: name(), routine, status: None, irql });
        NOW.caller.store(caller, Ordering::Relaxed);
        NOW.entry.store(interrupted, Ordering::Relaxed);
        NOW.dpc.fetch_sub(1, Ordering::Relaxed);
    }

    fn leaves_routine(&self) -> bool {
        exception::is_under_way()
    }

    fn listening(&self) -> bool {
        true
    }

    fn emit(&self, what: What) {
        self.record(what);
    }

    fn on_own_account(&self, deed: &mut dyn FnMut()) {
        let caller = NOW.caller.swap(0, Ordering::Relaxed);
        deed();
        NOW.caller.store(caller, Ordering::Relaxed);
    }

    fn waits_for(&self, on: Option<(WaitKind, usize)>) {
        self.note_wait(on);
    }

    fn holds(&self, thread: NonNull<KTHREAD>, lock: usize) {
        self.note_lock(thread, lock, true);
    }

    fn lets_go(&self, thread: NonNull<KTHREAD>, lock: usize) {
        self.note_lock(thread, lock, false);
    }

    fn origin(&self) -> Origin {
        let caller = NOW.caller.load(Ordering::Relaxed);
        let stack = if caller == 0 { 0 } else { self.stacks.keep() };
        Origin { caller, time: self.scheduler.now(), stack }
    }

    fn bugcheck(&self, check: Bugcheck) -> ! {
        let caller = NOW.caller.load(Ordering::Relaxed);
        let mut parameters = check.parameters;
        // The kernel's own instructions have no address that means anything: the driver's call stands for them.
        if check.code == BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED && parameters[1] == 0 {
            parameters[1] = caller;
        }
        fault::bugcheck(check.code, parameters, caller, check.reason.as_bytes(), None)
    }

    fn deadlock(&self, deadlock: Deadlock) -> ! {
        let stack = stack::current(From::Kernel);
        self.end_in_deadlock(NOW.caller.load(Ordering::Relaxed), &stack, &deadlock.reason)
    }
}

impl Host for World {
    fn injects(&self) -> bool {
        self.config().faults.is_some()
    }

    fn fails(&self, export: &str) -> bool {
        self.make_fail(export)
    }

    fn is_guest(&self, address: u64, bytes: u64) -> bool {
        plan::is_guest(address, bytes)
    }

    fn is_mapped(&self, address: u64) -> bool {
        self.open_paged();
        let shared = plan::KUSER_SHARED_DATA..plan::KUSER_SHARED_DATA + plan::PAGE;
        shared.contains(&address) || plan::is_guest(address, 1) && super::sys::is_readable(address)
    }

    fn is_paged_pool(&self, address: u64) -> bool {
        plan::PAGED_POOL.contains(address)
    }

    fn admit_paged(&self, address: u64, write: bool) {
        if processor::irql() < Irql::DISPATCH || !self.is_pageable(address) {
            return;
        }
        let caller = NOW.caller.load(Ordering::Relaxed);
        if let Some(name) = self.pageable_section(address) {
            let text = Text::new(format_args!(
                "the kernel, serving a driver's call, was to touch {address:#x} in the pageable section `{name}` at {}",
                processor::irql()
            ));
            let parameters = [address, u64::from(processor::irql().0), u64::from(write), caller];
            fault::bugcheck(
                BugCheck::DRIVER_PORTION_MUST_BE_NONPAGED,
                parameters,
                caller,
                text.bytes(),
                None,
            );
        }
        // What the kernel allocated by itself is its own affair.
        let place = self.kernel.get().and_then(|kernel| kernel.executive().pool_place(address as usize));
        let Some(block) = place.map(|place| place.block).filter(|block| block.allocated_by != 0) else {
            return;
        };
        let access = if write { record::Access::Write } else { record::Access::Read };
        self.record(What::PoolMisused(PoolMisuse {
            wrong: PoolWrong::Paged,
            noticed: PoolNoticed::Act,
            address,
            access: Some(access),
            at: (caller != 0).then_some(caller),
            tag: 0,
            block: Some(block),
        }));
        let text = Text::new(format_args!(
            "the kernel, serving a driver's call, was to touch paged pool at {address:#x} at {}: {}",
            processor::irql(),
            executive::mm::describe_block(&block)
        ));
        let parameters = [address, u64::from(processor::irql().0), u64::from(write), caller];
        fault::bugcheck(BugCheck::IRQL_NOT_LESS_OR_EQUAL, parameters, caller, text.bytes(), None)
    }

    fn lock_section(&self, address: u64, lock: bool) -> Option<u64> {
        self.change_locks(address, lock)
    }

    fn page_driver(&self, base: u64, entire: bool) {
        self.page_driver(base, entire);
    }

    unsafe fn call_driver(&self, routine: u64, arguments: &[u64]) -> u64 {
        let mut words = [0; ARGUMENTS];
        let count = arguments.len().min(ARGUMENTS);
        words[..count].copy_from_slice(&arguments[..count]);
        if !plan::is_guest(routine, 1) {
            let text =
                Text::new(format_args!("the kernel was to call {routine:#x}, where no driver code can be"));
            let caller = NOW.caller.load(Ordering::Relaxed);
            let code = BugCheck::PAGE_FAULT_IN_NONPAGED_AREA;
            fault::bugcheck(code, [routine, 8, routine, 0], caller, text.bytes(), None);
        }
        let used = if count <= 4 { 4 } else { ARGUMENTS };
        let before = self.kernel.get().map(|kernel| kernel.executive().apc_disable_counts());
        let held = self.kernel.get().map(|kernel| kernel.held()).unwrap_or_default();
        let level = processor::irql();
        self.before_driver();
        giant::leave();
        // SAFETY: GS and its slots are those of the current fiber; `used` is even and at least 4; the routine is the
        // caller's promise.
        let value = unsafe { context::enter_driver(routine, words.as_ptr(), used) };
        giant::enter();
        exception::go_on();
        if let (Some(before), Some(after)) =
            (before, self.kernel.get().map(|kernel| kernel.executive().apc_disable_counts()))
            && before != after
        {
            self.record(What::ApcDisableLeft {
                routine,
                kernel: [before[0], after[0]],
                special: [before[1], after[1]],
                entered: self.kernel.get().map(|kernel| kernel.entered_since(&held)).unwrap_or_default(),
            });
        }
        if let Some(kernel) = self.kernel.get() {
            let locks = kernel.kept_since(&held, level);
            if !locks.is_empty() {
                self.record(What::LocksLeft { routine, locks });
            }
        }
        value
    }

    unsafe fn call_with_words(&self, routine: u64, words: &[u64], second: u64) -> u64 {
        let [host, driver] = processor::slots();
        let at = driver.wrapping_sub(size_of_val(words) as u64) & !15;
        for (index, word) in (0..).zip(words) {
            // A driver that stands on no stack is told by the check in here.
            Guest::<u64>::new(self.kernel(), at.wrapping_add(index * 8)).write(*word);
        }
        processor::set_slots([host, at]);
        // SAFETY: the caller's promise.
        let value = unsafe { self.call_driver(routine, &[at, second]) };
        processor::set_slots([processor::slots()[0], driver]);
        value
    }

    fn raise(&self, exception: &Exception<'_>) -> ! {
        self.raise_exception(exception)
    }

    fn unwind(&self, goal: &Unwind) -> ! {
        exception::unwind(self, goal)
    }

    fn capture(&self, context: Guest<CONTEXT>) {
        exception::capture(context);
    }

    fn function_entry(&self, pc: u64) -> Option<(u64, u64)> {
        let range = ranges::find(pc).filter(|range| range.loaded)?;
        let entry = range.functions?.entry_rva((pc - range.base) as u32)?;
        Some((range.base, range.base + u64::from(entry)))
    }

    fn unwind_frame(&self, pc: u64, context: Guest<CONTEXT>) -> Option<UnwoundFrame> {
        exception::unwind_frame(pc, context)
    }

    fn back_trace(&self) -> Vec<u64> {
        stack::current(From::Driver).to_vec()
    }

    fn start_thread(&self, thread: NonNull<ETHREAD>, body: ThreadBody) -> bool {
        self.start(thread.cast(), body).is_some()
    }

    fn exit_thread(&self) -> ! {
        self.waits.end(processor::current_thread().addr() as u64);
        self.scheduler.exit()
    }

    fn call_stack(&self, stack: u32) -> Vec<u64> {
        self.stacks.get(stack)
    }

    fn caller(&self) -> Option<u64> {
        let caller = NOW.caller.load(Ordering::Relaxed);
        (caller != 0).then_some(caller)
    }

    fn module_at(&self, address: u64) -> Option<(u64, u64)> {
        let size = self.decoy.borrow().size;
        if address.checked_sub(plan::KERNEL_IMAGE.base).is_some_and(|offset| offset < size) {
            return Some((plan::KERNEL_IMAGE.base, size));
        }
        ranges::find(address).filter(|range| range.loaded).map(|range| (range.base, range.size))
    }

    fn export_address(&self, name: &str) -> Option<u64> {
        self.export(name)
    }

    fn scheduling_point(&self) {
        self.point();
    }

    fn leaving(&self) {
        self.leave();
    }

    fn processors(&self) -> u8 {
        self.scheduler.processors()
    }

    unsafe fn on_all_processors(&self, routine: u64, context: u64) -> u64 {
        // SAFETY: the caller's promise.
        unsafe { self.broadcast(routine, context) }
    }

    fn set_affinity(&self, set: Option<u64>) -> Option<u64> {
        self.scheduler.set_affinity(set)
    }

    fn stall(&self, time: i64) {
        self.scheduler.pass(time);
        if processor::irql() < Irql::DISPATCH {
            self.kernel().executive().expire_timers();
        }
    }

    fn random(&self) -> u64 {
        self.draw()
    }

    fn tracing(&self) -> bool {
        self.config().trace_exports
    }
}
