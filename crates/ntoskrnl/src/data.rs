//! The variables that drivers import.

use nt::OBJECT_TYPE;

use crate::guest::Guest;
use crate::kernel::Kernel;

fn put_type(at: Guest<u64>, object_type: core::ptr::NonNull<OBJECT_TYPE>) {
    at.write(object_type.as_ptr().expose_provenance() as u64);
}

/// Writes a variable that is smaller than a word.
fn put<T: nt::Pod>(k: &Kernel, at: Guest<u64>, value: T) {
    Guest::<T>::new(k, at.address()).write(value);
}

pub(crate) fn event_type(k: &Kernel, at: Guest<u64>) {
    put_type(at, k.types().event);
}

pub(crate) fn semaphore_type(k: &Kernel, at: Guest<u64>) {
    put_type(at, k.types().semaphore);
}

pub(crate) fn process_type(k: &Kernel, at: Guest<u64>) {
    put_type(at, k.types().process);
}

pub(crate) fn thread_type(k: &Kernel, at: Guest<u64>) {
    put_type(at, k.types().thread);
}

pub(crate) fn driver_type(k: &Kernel, at: Guest<u64>) {
    put_type(at, k.types().driver);
}

pub(crate) fn device_type(k: &Kernel, at: Guest<u64>) {
    put_type(at, k.types().device);
}

pub(crate) fn file_type(k: &Kernel, at: Guest<u64>) {
    put_type(at, k.types().file);
}

pub(crate) fn initial_process(k: &Kernel, at: Guest<u64>) {
    at.write(k.system_process());
}

pub(crate) fn build_number(k: &Kernel, at: Guest<u64>) {
    put(k, at, k.executive().profile().nt_build_number());
}

pub(crate) fn processors(k: &Kernel, at: Guest<u64>) {
    put(k, at, k.host().processors());
}

pub(crate) fn user_probe_address(k: &Kernel, at: Guest<u64>) {
    at.write(k.host().user_end());
}

/// The last address of user memory; the 64 KiB below the probe limit are never mapped on Windows, and the limit is that border.
pub(crate) fn highest_user_address(k: &Kernel, at: Guest<u64>) {
    at.write(k.host().user_end() - 1);
}

pub(crate) fn system_range_start(k: &Kernel, at: Guest<u64>) {
    at.write(k.host().kernel_start());
}

/// A variable that is zero on this machine: no safe mode, no global flags, no debugger, no debugger's port.
pub(crate) fn zero(k: &Kernel, at: Guest<u64>) {
    put(k, at, 0u8);
}

/// `KdDebuggerNotPresent`
pub(crate) fn one(k: &Kernel, at: Guest<u64>) {
    put(k, at, 1u8);
}
