//! A driver's life: mapped, bound, entered, left, unmapped.
//!
//! Models what `IopLoadDriver` does around `DriverEntry` and what `IopUnloadDriver` does around `DriverUnload`. Deliberately
//! different: there is no service key behind the registry path, images land one after the other at fixed addresses
//! with guards between them, and the range of an image that left is never used again, so that whoever still points
//! there is caught.

use image::{Image, Import, Plan};
use nt::{DRIVER_OBJECT, NTSTATUS};
use ntoskrnl::Host;
use record::{EntryPoint, PoolBlockLeft, PoolNoticed, UnloadOutcome, What};

use super::driver_object::DriverObject;
use super::paging::Section;
use super::processor;
use super::sys::Access;
use super::world::World;
use super::{memory, ranges};
use crate::plan;

/// Drivers of the run.
#[derive(Debug, Default)]
pub(crate) struct Drivers {
    list: Vec<Driver>,
    /// Where the next image may begin, relative to the region.
    next: u64,
}

impl Drivers {
    /// Returns the driver that an address lies in, and the offset.
    pub(crate) fn locate(&self, address: u64) -> Option<(&str, u64)> {
        let inside = |driver: &&Driver| (driver.base..driver.base + driver.size).contains(&address);
        self.list.iter().find(inside).map(|driver| (driver.name.as_str(), address - driver.base))
    }
}

#[derive(Clone, Debug)]
struct Driver {
    name: String,
    base: u64,
    size: u64,
    object: DriverObject,
    /// Whether it was asked to leave.
    leaving: bool,
}

/// What loading came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    pub(crate) base: u64,
    pub(crate) size: u64,
    pub(crate) status: u32,
}

/// Loads the driver `name` from `bytes` and calls its `DriverEntry`.
///
/// # Errors
///
/// Says why the image is refused; nothing is left of it then.
pub(crate) fn load(world: &'static World, name: &str, bytes: &[u8]) -> Result<Loaded, String> {
    let refuse = |error: image::ImageError| format!("cannot load `{name}`: {error}\nhint: {}", error.hint());
    let image = Image::parse(bytes).map_err(refuse)?;
    let imports = image.imports().map_err(refuse)?;
    image::require_kernel_imports(&imports).map_err(refuse)?;
    let base = plan::IMAGES.base + world.drivers.borrow().next + plan::IMAGE_GAP;
    let plan = image.plan(base).map_err(refuse)?;
    let size = u64::from(plan.size());
    if base + size + plan::IMAGE_GAP > plan::IMAGES.end() {
        let full = format!("cannot load `{name}`: the {} are full", plan::IMAGES.name);
        return Err(format!(
            "{full}\nhint: the range of an unloaded image is never used again; play a shorter run"
        ));
    }
    ranges::enter(base, size).ok_or_else(|| {
        format!("cannot load `{name}`: {} images are the limit\nhint: play a shorter run", ranges::MOST)
    })?;
    world.drivers.borrow_mut().next += (plan::IMAGE_GAP + size).next_multiple_of(plan::IMAGE_GAP);
    keep_functions(base, bytes);
    if let Err(error) = fill(world, &image, &imports, &plan) {
        unmap(base, size);
        return Err(format!("cannot load `{name}`: {error}"));
    }
    for note in plan.notes() {
        world.record(What::Note { text: format!("{name}: {note}"), details: Vec::new() });
    }
    world.record(What::ImageLoaded { name: name.into(), base, size, entry: plan.entry() });
    world.add_sections(name, base, sections(&image, &plan));
    let Some(object) = DriverObject::new(world, name, base, size, plan.entry()) else {
        world.remove_sections(base);
        unmap(base, size);
        return Err(format!("cannot load `{name}`: no pool for its driver object"));
    };
    world.drivers.borrow_mut().list.push(Driver { name: name.into(), base, size, object, leaving: false });
    let status = enter(
        world,
        EntryPoint::DriverEntry,
        name,
        plan.entry(),
        &[object.address(), object.registry_path()],
    );
    if NTSTATUS(status).is_success() {
        for range in plan.init_ranges() {
            // SAFETY: pages of the image, which no reference leads to.
            unsafe { memory::withdraw(base + u64::from(range.rva), u64::from(range.size)) };
        }
    } else {
        depart(world, name, base..base + size, object.address());
    }
    Ok(Loaded { base, size, status })
}

/// Keeps a copy of the file for unwinding: code that goes wrong may have damaged what is in memory.
fn keep_functions(base: u64, bytes: &[u8]) {
    let copy: &'static [u8] = Box::leak(bytes.into());
    // An image without a usable table has no call stacks beyond its innermost frame, and is none the worse for it.
    if let Ok(functions) = Image::parse(copy).and_then(|image| image.functions())
        && functions.is_sorted()
    {
        ranges::set_functions(base, Box::leak(Box::new(functions)));
    }
}

/// Maps and fills the image, and gives its pages their rights.
fn fill(world: &World, image: &Image<'_>, imports: &[Import], plan: &Plan<'_>) -> Result<(), String> {
    let (base, size) = (plan.base(), u64::from(plan.size()));
    memory::commit(base, size).ok_or("the host has no memory for it")?;
    // SAFETY: just committed; no driver code runs in here, and nothing else refers to the range.
    let memory = unsafe { memory::slice(base, plan.size() as usize) };
    let text = |error: image::ImageError| format!("{error}\nhint: {}", error.hint());
    plan.apply(memory).map_err(text)?;
    if let Some(config) = image.load_config().map_err(text)? {
        config.set_cookie(memory, world.draw()).map_err(text)?;
        let [check, dispatch] = world.decoy.borrow().guard;
        config.set_guard(memory, check, dispatch).map_err(text)?;
    }
    image::bind(memory, imports, |import| {
        import
            .name()
            .and_then(|name| world.export(name))
            .unwrap_or_else(|| world.absent.address(&import.module, &import.symbol.to_string()))
    })
    .map_err(text)?;
    for range in plan.ranges() {
        let access = access_of(range);
        // SAFETY: pages of the image; the slice is not used any more.
        let done = unsafe { memory::set_access(base + u64::from(range.rva), u64::from(range.size), access) };
        done.then_some(()).ok_or("its pages cannot be protected")?;
    }
    Ok(())
}

/// Lists the sections of the image that have pages of their own, but not those that are discarded.
fn sections(image: &Image<'_>, plan: &Plan<'_>) -> Vec<Section> {
    let of_range = |range: &image::PlannedRange| {
        let mut known = range.sections.iter().filter_map(|index| image.sections().get(*index));
        let section = known.next()?;
        let pageable = section.pageable() && known.all(image::Section::pageable);
        let start = plan.base() + u64::from(range.rva);
        (!range.discardable).then(|| Section {
            name: section.name.clone(),
            range: start..start + u64::from(range.size),
            access: access_of(range),
            pageable: [pageable; 2],
            locks: 0,
        })
    };
    plan.ranges().iter().filter_map(of_range).collect()
}

fn access_of(range: &image::PlannedRange) -> Access {
    let rights = range.protection;
    match (rights.read, rights.write, rights.execute) {
        (_, true, true) => Access::ReadWriteExecute,
        (_, false, true) => Access::ReadExecute,
        (_, true, false) => Access::ReadWrite,
        (true, false, false) => Access::Read,
        (false, false, false) => Access::None,
    }
}

fn unmap(base: u64, size: u64) {
    ranges::leave(base);
    // SAFETY: pages of the image, which no reference leads to.
    unsafe { memory::withdraw(base, size) };
}

/// Calls a routine of the driver by contract, between two events. Returns `eax`.
fn enter(world: &World, entry: EntryPoint, name: &str, routine: u64, arguments: &[u64]) -> u32 {
    let irql = processor::irql();
    world.record(What::EntryCalled { entry, name: name.into(), routine });
    // SAFETY: the routine is the image's, by its header or its driver object, and these are the arguments of its contract.
    let status = unsafe { world.call_driver(routine, arguments) } as u32;
    let returns = !matches!(entry, EntryPoint::DriverUnload);
    world.record(What::EntryReturned {
        entry,
        name: name.into(),
        routine,
        status: returns.then_some(status),
        irql: processor::irql().0,
    });
    // The system thread goes on at the level it called with, whatever the driver left; the event above tells.
    world.restore_irql(irql);
    status
}

/// Asks the driver `name` to leave.
///
/// # Errors
///
/// Refused where no such driver is loaded.
pub(crate) fn unload(world: &'static World, name: &str) -> Result<UnloadOutcome, String> {
    let found = world.drivers.borrow().list.iter().find(|driver| driver.name == name).cloned();
    let driver = found.ok_or_else(|| format!("no driver `{name}` is loaded"))?;
    if driver.leaving {
        return Err(format!("`{name}` is leaving already"));
    }
    let routine = driver.object.unload_routine();
    if routine == 0 {
        return Ok(UnloadOutcome::NotUnloadable);
    }
    for known in world.drivers.borrow_mut().list.iter_mut().filter(|known| known.name == name) {
        known.leaving = true;
    }
    enter(world, EntryPoint::DriverUnload, name, routine, &[driver.object.address()]);
    depart(world, name, driver.base..driver.base + driver.size, driver.object.address());
    Ok(UnloadOutcome::Unloaded)
}

/// What follows a `DriverUnload`, and a `DriverEntry` that failed: work that is under way ends, what is left behind is
/// told, and the image goes.
fn depart(world: &'static World, name: &str, image: std::ops::Range<u64>, object: u64) {
    world.kernel().finish_work_of(object);
    world.kernel().settle();
    world.kernel().executive().check_pool(PoolNoticed::Unload);
    let blocks: Vec<PoolBlockLeft> = world
        .kernel()
        .executive()
        .pool_blocks()
        .into_iter()
        .filter(|block| image.contains(&block.caller))
        .map(|block| PoolBlockLeft {
            address: block.address as u64,
            bytes: block.bytes as u64,
            tag: block.tag,
            made: world.kernel().made(block.origin),
        })
        .collect();
    if !blocks.is_empty() {
        world.record(What::PoolLeft { driver: name.into(), blocks });
    }
    let mut lists = world.kernel().lookaside_lists();
    lists.retain(|list| image.contains(&list.made.caller));
    if !lists.is_empty() {
        world.record(What::LookasideLeft { driver: name.into(), lists });
    }
    let things = world.kernel().left_by(&image);
    if !things.is_empty() {
        world.record(What::LeftBehind { driver: name.into(), things });
    }
    world.record(What::Audit { driver: Some(name.into()), snapshot: world.snapshot() });
    remove(world, name);
}

/// Looks whether a driver could be asked to leave.
///
/// # Errors
///
/// Says that there is none of this name.
pub(crate) fn has(world: &World, name: &str) -> Result<(), String> {
    let there = world.drivers.borrow().list.iter().any(|driver| driver.name == name);
    there.then_some(()).ok_or_else(|| format!("no driver `{name}` is loaded"))
}

/// Takes driver object and image away.
fn remove(world: &World, name: &str) {
    let mut drivers = world.drivers.borrow_mut();
    let Some(index) = drivers.list.iter().position(|driver| driver.name == name) else { return };
    let driver = drivers.list.remove(index);
    drop(drivers);
    driver.object.release(world);
    world.remove_sections(driver.base);
    unmap(driver.base, driver.size);
    world.record(What::ImageUnloaded { name: name.into(), base: driver.base });
}

const _: () = assert!(std::mem::offset_of!(DRIVER_OBJECT, DriverUnload) == 0x68);
