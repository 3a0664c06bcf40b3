//! The virtual processors: their `KPCR` pages behind GS, their IRQLs, and the page of shared user data.
//!
//! On x64 Windows CR8 is the IRQL and `KPCR.Irql` a copy for debuggers; here the byte in the `KPCR` is the authority
//! and CR8 is emulated from it. Processors are data: one host thread runs all of them, a piece of one and then a piece of another,
//! and what is here *the* processor is the one whose piece runs. [`enter`] goes from one to the other; [`set_irql`] is the only
//! place where an IRQL changes. With `--parallel` each has a host thread, which comes to it by [`inhabit`] and stays, and *the*
//! processor is the calling thread's.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};

use nt::{Irql, KPCR, KPRCB, KSYSTEM_TIME, KTHREAD, KUSER_SHARED_DATA, Profile};

use super::context;
use super::{giant, memory};
use crate::plan;

/// Units of 100 ns in a clock tick (15.625 ms).
const TICK: i64 = 156_250;

/// What trap handlers and events want to know about the moment. Host memory: drivers cannot reach it by mistake.
#[derive(Debug)]
pub(crate) struct Moment {
    /// Return address of the export call being served, 0 for none.
    pub(crate) caller: AtomicU64,
    /// Host address of what the entry of that call stored, 0 for none.
    pub(crate) entry: AtomicU64,
    /// Identifier of the current thread.
    pub(crate) thread: AtomicU32,
    /// Top of the current driver stack, 0 for none.
    pub(crate) stack: AtomicU64,
    /// Lowest address of the guard of the current host stack, 0 for none.
    pub(crate) host_guard: AtomicU64,
    /// Whether driver code lowered CR8 by itself since the last export call: DPCs may be due.
    pub(crate) lowered: AtomicBool,
    /// How many DPC routines are running.
    pub(crate) dpc: AtomicU32,
    /// Whether the processor's host thread runs driver code, without the giant lock.
    pub(crate) in_driver: AtomicBool,
    /// Whether host frames are being left for driver code: an exception was handled there.
    pub(crate) leaving: AtomicBool,
    /// Where that leads, while driver code on the way is abandoned; 0 for nowhere.
    pub(crate) abandoned: AtomicU64,
}

impl Moment {
    const fn new() -> Self {
        Self {
            caller: AtomicU64::new(0),
            entry: AtomicU64::new(0),
            thread: AtomicU32::new(0),
            stack: AtomicU64::new(0),
            host_guard: AtomicU64::new(0),
            lowered: AtomicBool::new(false),
            dpc: AtomicU32::new(0),
            in_driver: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            abandoned: AtomicU64::new(0),
        }
    }
}

/// Most processors of a machine.
pub(crate) const MOST: usize = 64;

/// Virtual time in 100 ns, the same for all processors.
pub(crate) static TIME: AtomicI64 = AtomicI64::new(0);

/// The processor that runs, where one host thread runs all of them.
static HERE: AtomicU8 = AtomicU8::new(0);

thread_local! {
    /// The processor that this host thread runs.
    static MINE: Cell<u8> = const { Cell::new(0) };
}

/// One for each host thread that runs processors.
static MOMENTS: [Moment; MOST] = [const { Moment::new() }; MOST];

/// The [`Moment`] of the processor that runs. Each fiber keeps its own while another one's is here.
#[derive(Debug)]
pub(crate) struct Now;

/// As above.
pub(crate) static NOW: Now = Now;

impl std::ops::Deref for Now {
    type Target = Moment;

    #[inline]
    fn deref(&self) -> &Moment {
        let index = if giant::is_on() { usize::from(mine()) } else { 0 };
        &MOMENTS[index % MOST]
    }
}

/// Returns the moment of processor `number`, where it has a host thread.
pub(crate) fn moment(number: u8) -> &'static Moment {
    &MOMENTS[usize::from(number) % MOST]
}

/// Returns the number of the processor that this host thread runs.
///
/// Never inlined: a fiber may go on in another host thread, and a caller that remembers where the variable of the thread lies would
/// look at the one of the thread before.
#[inline(never)]
fn mine() -> u8 {
    MINE.get()
}

/// Returns the number of the processor that runs. Callable from a signal handler.
#[inline]
pub(crate) fn number() -> u8 {
    if giant::is_on() { mine() } else { HERE.load(Ordering::Relaxed) }
}

/// Makes the calling host thread that of processor `number`, for good.
pub(crate) fn inhabit(number: u8) {
    MINE.set(number);
    set_gs(page(number));
}

/// Returns the address of the `KPCR` of processor `number`.
fn page(number: u8) -> u64 {
    plan::PROCESSORS.base + u64::from(number) * plan::PROCESSOR_STRIDE
}

/// Returns the address of the `KPCR` of the processor that runs. Callable from a signal handler.
pub(crate) fn gs() -> u64 {
    page(number())
}

/// Goes on with processor `number`.
pub(crate) fn enter(number: u8) {
    if giant::is_on() {
        debug_assert_eq!(number, mine());
        return;
    }
    if HERE.swap(number, Ordering::Relaxed) != number {
        set_gs(page(number));
    }
}

/// Returns the byte at `offset` in the `KPCR` page, which exists once [`start`] has run.
fn byte(offset: usize) -> &'static AtomicU8 {
    debug_assert!(offset < size_of::<KPCR>());
    let address = std::ptr::with_exposed_provenance_mut(gs() as usize + offset);
    // SAFETY: the page is committed by `start` before anything runs and stays; all access is atomic, or one driver instruction on
    // the thread of the processor.
    unsafe { AtomicU8::from_ptr(address) }
}

/// Returns the word at `offset` in the `KPCR` page.
fn word(offset: usize) -> &'static AtomicU64 {
    debug_assert!(offset < size_of::<KPCR>() && offset.is_multiple_of(8));
    let address = std::ptr::with_exposed_provenance_mut(gs() as usize + offset);
    // SAFETY: as for `byte`; the page is aligned and `offset` a multiple of 8.
    unsafe { AtomicU64::from_ptr(address) }
}

/// Returns the IRQL. Callable from a signal handler.
pub(crate) fn irql() -> Irql {
    Irql(byte(std::mem::offset_of!(KPCR, Irql)).load(Ordering::Relaxed))
}

/// Sets the IRQL and returns the old one. Callable from a signal handler.
pub(crate) fn set_irql(new: Irql) -> Irql {
    Irql(byte(std::mem::offset_of!(KPCR, Irql)).swap(new.0, Ordering::Relaxed))
}

/// Returns the two stack slots, host then driver.
pub(crate) fn slots() -> [u64; 2] {
    [context::HOST, context::DRIVER].map(|offset| word(offset).load(Ordering::Relaxed))
}

/// Sets the two stack slots.
pub(crate) fn set_slots(slots: [u64; 2]) {
    for (offset, value) in [context::HOST, context::DRIVER].into_iter().zip(slots) {
        word(offset).store(value, Ordering::Relaxed);
    }
}

/// Sets where driver code goes on behind a trap, and returns where it is sent meanwhile: to a scheduling point. `None`
/// where this processor cannot save its registers so. Callable from a signal handler.
pub(crate) fn resume_at(rip: u64) -> Option<u64> {
    if !SAVES_STATE.load(Ordering::Relaxed) {
        return None;
    }
    word(context::TRAP_RIP).store(rip, Ordering::Relaxed);
    Some(context::trap_entry as *const () as u64)
}

/// As [`resume_at`], but driver code is sent to have the exception at `rip` dispatched; `what` is kept for that.
pub(crate) fn raise_at(rip: u64, what: [u64; 3]) -> Option<u64> {
    resume_at(rip)?;
    for (offset, value) in context::TRAP_WHAT.into_iter().zip(what) {
        word(offset).store(value, Ordering::Relaxed);
    }
    Some(context::exception_entry as *const () as u64)
}

/// Returns what [`raise_at`] kept.
pub(crate) fn raised() -> [u64; 3] {
    context::TRAP_WHAT.map(|offset| word(offset).load(Ordering::Relaxed))
}

/// Whether the processor has `XSAVE` and the host's kernel allows it. Found out before driver code runs.
static SAVES_STATE: AtomicBool = AtomicBool::new(false);

/// Makes `thread` the current one, `gs:[188h]`.
pub(crate) fn set_current_thread(thread: *mut KTHREAD) {
    const OFFSET: usize = std::mem::offset_of!(KPCR, Prcb) + std::mem::offset_of!(KPRCB, CurrentThread);
    let address = std::ptr::with_exposed_provenance_mut(gs() as usize + OFFSET);
    // SAFETY: as for `word`; the field is a pointer.
    unsafe { AtomicPtr::from_ptr(address) }.store(thread, Ordering::Relaxed);
}

/// Returns the current thread.
pub(crate) fn current_thread() -> *mut KTHREAD {
    const OFFSET: usize = std::mem::offset_of!(KPCR, Prcb) + std::mem::offset_of!(KPRCB, CurrentThread);
    let address = std::ptr::with_exposed_provenance_mut(gs() as usize + OFFSET);
    // SAFETY: as for `word`; the field is a pointer.
    unsafe { AtomicPtr::from_ptr(address) }.load(Ordering::Relaxed)
}

/// Makes the pages of `count` processors and the shared page, and goes to the first processor.
pub(crate) fn start(profile: &Profile, count: u8) -> Option<()> {
    for number in (0..count).rev() {
        memory::commit(page(number), size_of::<KPCR>() as u64)?;
        enter(number);
        let put = |offset: usize, value: u64| word(offset).store(value, Ordering::Relaxed);
        let prcb = std::mem::offset_of!(KPCR, Prcb);
        put(std::mem::offset_of!(KPCR, SelfPcr), page(number));
        put(std::mem::offset_of!(KPCR, CurrentPrcb), page(number) + prcb as u64);
        // Major version 1, minor version 1, as every x64 kernel has it; the stall factor in the upper half.
        put(std::mem::offset_of!(KPCR, MajorVersion), 0x0000_0001_0001_0001);
        // The SSE control word, and behind it the number in the group.
        put(prcb, 0x1F80 | u64::from(number) << 32);
        byte(prcb + std::mem::offset_of!(KPRCB, Number)).store(number, Ordering::Relaxed);
    }
    SAVES_STATE.store(std::arch::is_x86_feature_detected!("xsave"), Ordering::Relaxed);
    memory::commit(plan::SHARED_DATA.base, plan::PAGE)?;
    fill_shared_data(profile, count);
    set_gs(page(0)).then_some(())
}

/// Points GS at `base`: by instruction where the processor and kernel have it, by system call elsewhere.
fn set_gs(base: u64) -> bool {
    const AT_HWCAP2: libc::c_ulong = 26;
    const FSGSBASE: libc::c_ulong = 2;
    const ARCH_SET_GS: libc::c_long = 0x1001;
    // SAFETY: `getauxval` has no preconditions.
    let capabilities = unsafe { libc::getauxval(AT_HWCAP2) };
    if capabilities & FSGSBASE != 0 {
        // SAFETY: the kernel says that the instruction may be used; nothing in host code uses GS.
        unsafe { std::arch::asm!("wrgsbase {}", in(reg) base, options(nostack, preserves_flags)) };
        return true;
    }
    // SAFETY: nothing in host code uses GS.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, base) == 0 }
}

fn shared(offset: usize, bytes: &[u8]) {
    // SAFETY: the page is committed; this runs on the only thread or with the giant lock, and no other reference into the page exists.
    let page = unsafe { memory::slice(plan::SHARED_DATA.base, plan::PAGE as usize) };
    page[offset..offset + bytes.len()].copy_from_slice(bytes);
}

macro_rules! put_shared {
    ($($field:ident = $value:expr),* $(,)?) => {
        $( shared(std::mem::offset_of!(KUSER_SHARED_DATA, $field), &$value.to_le_bytes()); )*
    };
}

fn fill_shared_data(profile: &Profile, processors: u8) {
    let root: Vec<u8> = "C:\\Windows".encode_utf16().flat_map(u16::to_le_bytes).collect();
    shared(std::mem::offset_of!(KUSER_SHARED_DATA, NtSystemRoot), &root);
    put_shared! {
        // 15.625 ms as 8.24 fixed point.
        TickCountMultiplier = 0x0FA0_0000_u32,
        ImageNumberLow = 0x8664_u16,
        ImageNumberHigh = 0x8664_u16,
        NtBuildNumber = profile.build,
        NtProductType = 1_u32,
        ProductTypeIsValid = 1_u8,
        NativeProcessorArchitecture = 9_u16,
        NtMajorVersion = profile.major,
        NtMinorVersion = profile.minor,
        SuiteMask = 0x110_u32,
        NumberOfPhysicalPages = 0x10_0000_u32,
        QpcFrequency = 10_000_000_i64,
        ActiveProcessorCount = u32::from(processors),
        ActiveGroupCount = 1_u8,
    }
    refresh_shared_data();
}

/// Brings the times in the shared page up to date. Called before a driver's read of it is answered.
pub(crate) fn refresh_shared_data() {
    let now = TIME.load(Ordering::Relaxed);
    let times = [
        (std::mem::offset_of!(KUSER_SHARED_DATA, InterruptTime), now),
        (std::mem::offset_of!(KUSER_SHARED_DATA, SystemTime), executive::ke::BOOT_SYSTEM_TIME + now),
        (std::mem::offset_of!(KUSER_SHARED_DATA, TickCount), now / TICK),
    ];
    for (offset, value) in times {
        shared(offset + std::mem::offset_of!(KSYSTEM_TIME, LowPart), &value.to_le_bytes());
        shared(offset + std::mem::offset_of!(KSYSTEM_TIME, High2Time), &((value >> 32) as i32).to_le_bytes());
    }
    shared(0, &((now / TICK) as u32).to_le_bytes());
}

/// Returns whether one of the times in the shared page lies at `offset`.
pub(crate) fn is_shared_time(offset: u64) -> bool {
    [
        std::mem::offset_of!(KUSER_SHARED_DATA, InterruptTime),
        std::mem::offset_of!(KUSER_SHARED_DATA, SystemTime),
        std::mem::offset_of!(KUSER_SHARED_DATA, TickCount),
        // `TickCountLowDeprecated`.
        0,
    ]
    .into_iter()
    .any(|time| (offset as usize).checked_sub(time).is_some_and(|inside| inside < size_of::<KSYSTEM_TIME>()))
}

/// Reads `bytes` (at most 16) at `offset` of the shared page as a driver's instruction does.
pub(crate) fn read_shared_data(offset: u64, bytes: usize) -> Option<u128> {
    refresh_shared_data();
    // SAFETY: the page is committed; this runs on the only thread or with the giant lock, and no other reference into the page exists.
    let page = unsafe { memory::slice(plan::SHARED_DATA.base, plan::PAGE as usize) };
    let mut value = [0; 16];
    let offset = usize::try_from(offset).ok()?;
    value.get_mut(..bytes)?.copy_from_slice(page.get(offset..offset + bytes)?);
    Some(u128::from_le_bytes(value))
}
