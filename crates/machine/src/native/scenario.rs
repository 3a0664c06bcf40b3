//! What the parent can ask for beside drivers: ring an object, play an event of Windows, let time pass, describe what is
//! there. All of it runs in the system thread, as the kernel's own doing: events have no caller.

use std::ffi::c_void;
use std::ptr::{null_mut, with_exposed_provenance_mut};

use nt::catalog::{self, Argument, Call, Condition, Name, Structure};
use nt::{CALLBACK_OBJECT, Irql, KernelMode, NTSTATUS, OBJ_CASE_INSENSITIVE, UNICODE_STRING};
use ntoskrnl::Host;
use record::{Snapshot, What};

use super::arguments::Arguments;
use super::processor;
use super::world::World;

impl World {
    /// Lets `ticks` of virtual time pass, in units of 100 ns.
    pub(super) fn sleep(&self, ticks: u64) {
        let until = self.scheduler.now().saturating_add(i64::try_from(ticks).unwrap_or(i64::MAX));
        while self.scheduler.now() < until {
            self.scheduler.park(Some(until));
        }
    }

    /// Describes all callback objects.
    pub(super) fn snapshot(&self) -> Snapshot {
        self.kernel().executive().snapshot()
    }

    /// Rings the callback object named `name` at `irql`, as `ExNotifyCallback` called from the kernel itself. A name
    /// without a backslash is one of `\Callback`.
    ///
    /// # Errors
    ///
    /// Refused where there is no such object.
    pub(super) fn ring(&self, name: &str, [argument1, argument2]: [u64; 2], irql: u8) -> Result<(), String> {
        let irql = Irql(irql);
        if irql > Irql::DISPATCH {
            return Err(format!("cannot ring `{name}` at {irql}: DISPATCH_LEVEL is the highest"));
        }
        let object = self.reference(&path_of(name))?;
        self.notify_at(irql, object, argument1, argument2);
        self.dereference(object);
        Ok(())
    }

    /// Plays the event `name` of the catalog.
    ///
    /// # Errors
    ///
    /// Refused where there is no such event, or its object does not exist.
    pub(super) fn play(&self, name: &str) -> Result<(), String> {
        let Some(event) = catalog::find_event(name) else {
            return Err(format!("no event `{name}` exists"));
        };
        if !event.is_delivered() {
            self.record(What::Note { text: format!("`{name}`: {}", event.summary), details: Vec::new() });
            return Ok(());
        }
        let (object, referenced) = self.object_of(event)?;
        let mut arguments = Arguments::new(self);
        for call in event.calls {
            if !wanted(call, arguments.status()) {
                continue;
            }
            let argument2 = self.make(&mut arguments, call.argument2)?;
            if let Name::Unnamed { .. } = event.entry().name {
                // The port holds the first argument; the second is what the dispatch of a message says.
                self.kernel().executive().kernel_port_message(event.object, argument2 as u32);
                continue;
            }
            let argument1 = self.make(&mut arguments, call.argument1)?;
            self.notify_at(event.irql, object, argument1, argument2);
        }
        if referenced {
            self.dereference(object);
        }
        Ok(())
    }

    /// Returns the object that an event rings, and whether a reference on it was taken.
    fn object_of(&self, event: &catalog::Event) -> Result<(*mut CALLBACK_OBJECT, bool), String> {
        // No name leads to it: the kernel has its address in a variable.
        let early_launch = self.kernel().executive().PnpBootDriverCallbackObject();
        match event.entry().name {
            Name::Path(_) if event.object == "BootDriver" && !early_launch.is_null() => {
                Ok((early_launch, false))
            }
            Name::Path(path) => Ok((self.reference(path)?, true)),
            Name::Numbered { prefix, .. } => Err(format!("nobody created an object `{prefix}…`")),
            Name::Unnamed { port } => Ok((self.unnamed(event.object, port)?, false)),
        }
    }

    /// Looks whether there is a callback object to ring.
    ///
    /// # Errors
    ///
    /// Says that there is none.
    pub(super) fn has_object(&self, name: &str) -> Result<(), String> {
        self.reference(&path_of(name)).map(|object| self.dereference(object))
    }

    /// Looks whether there is the callback object that the event `name` rings.
    ///
    /// # Errors
    ///
    /// Says that there is none.
    pub(super) fn has_object_of(&self, name: &str) -> Result<(), String> {
        let Some(event) = catalog::find_event(name).filter(|event| event.is_delivered()) else {
            return Ok(());
        };
        let (object, referenced) = self.object_of(event)?;
        if referenced {
            self.dereference(object);
        }
        Ok(())
    }

    fn make(&self, arguments: &mut Arguments<'_>, argument: Argument) -> Result<u64, String> {
        match argument {
            Argument::Null => Ok(0),
            Argument::Value(value) => Ok(value),
            Argument::PortHandle => Err("only a port knows its handle".to_owned()),
            // An address in the kernel's code that does nothing: the routine that Windows passes is private.
            Argument::Structure(Structure::Code, _) => Ok(self.decoy.borrow().guard[0]),
            Argument::Structure(Structure::ProcessorChange, members) => {
                // The processor behind those that are there.
                let next = u64::from(self.scheduler.processors());
                let number =
                    |&(name, value)| (name, if name == "State" || name == "Status" { value } else { next });
                arguments.place(Structure::ProcessorChange, &members.iter().map(number).collect::<Vec<_>>())
            }
            Argument::Structure(structure, members) => arguments.place(structure, members),
        }
    }

    /// The kernel's own object behind an ALPC port.
    fn unnamed(&self, key: &str, port: &str) -> Result<*mut CALLBACK_OBJECT, String> {
        let object = self.kernel().executive().kernel_object(key);
        if object.is_null() {
            return Err(format!("the kernel has not created the object behind `{port}`"));
        }
        Ok(object)
    }

    /// Takes a reference on the callback object at `path`, which is no act of a driver: no event tells it.
    fn reference(&self, path: &str) -> Result<*mut CALLBACK_OBJECT, String> {
        let nt = self.kernel().executive();
        let mut units: Vec<u16> = path.encode_utf16().collect();
        let bytes = u16::try_from(units.len() * 2).map_err(|_| format!("`{path}` is too long for a name"))?;
        let mut name = UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_mut_ptr() };
        let object_type = nt.object_type("Callback").map_or(null_mut(), std::ptr::NonNull::as_ptr);
        let mut object: *mut c_void = null_mut();
        // SAFETY: name and result live across the call; the type is one of the executive's.
        let status = unsafe {
            nt.ObReferenceObjectByName(
                &raw mut name,
                OBJ_CASE_INSENSITIVE,
                0,
                object_type,
                KernelMode,
                null_mut(),
                &raw mut object,
            )
        };
        if status.is_success() { Ok(object.cast()) } else { Err(missing(path, status)) }
    }

    fn dereference(&self, object: *mut CALLBACK_OBJECT) {
        // SAFETY: gives back what `reference` took.
        unsafe { self.kernel().executive().ObfDereferenceObject(object.cast()) };
    }

    fn notify_at(&self, irql: Irql, object: *mut CALLBACK_OBJECT, argument1: u64, argument2: u64) {
        let nt = self.kernel().executive();
        let old = nt.KeRaiseIrql(irql);
        let pointer = |value: u64| with_exposed_provenance_mut::<c_void>(value as usize);
        // SAFETY: a callback object that is referenced, or the kernel's own; the arguments are what its routines expect,
        // or what the user asked for.
        unsafe { nt.ExNotifyCallback(object, pointer(argument1), pointer(argument2)) };
        self.restore_irql(old);
    }

    /// Brings the IRQL back to `old`, whatever a driver left it at.
    pub(super) fn restore_irql(&self, old: Irql) {
        if processor::irql() >= old {
            self.kernel().executive().KeLowerIrql(old);
        } else {
            processor::set_irql(old);
        }
    }

    /// Makes the kernel image's variables hold what they hold on Windows.
    pub(super) fn fill_variables(&self) {
        for data in ntoskrnl::DATA {
            if let Some(address) = self.export_address(data.name) {
                (data.init)(self.kernel(), ntoskrnl::guest::Guest::new(self.kernel(), address));
            }
        }
    }
}

/// Returns the path of an object: a name without a backslash is one of `\Callback`.
fn path_of(name: &str) -> String {
    if name.starts_with('\\') { name.to_owned() } else { format!("\\Callback\\{name}") }
}

/// Whether a call is made, given what the routines left in the event's status.
fn wanted(call: &Call, status: NTSTATUS) -> bool {
    match call.when {
        Condition::Always => true,
        Condition::Accepted => status.is_success(),
        Condition::Refused => !status.is_success(),
    }
}

fn missing(path: &str, status: NTSTATUS) -> String {
    format!("cannot ring `{path}`: {status}\nhint: `ringbell objects` lists what a fresh machine has")
}
