//! One entry of the export table, and how a safe Rust function becomes one.
//!
//! An export is a function `fn(&Kernel, arguments…) -> result` over checked guest pointers. [`Handler`] derives from its type
//! how the arguments are decoded from the [`CallFrame`] and what the C prototype is; [`export!`](crate::export!) turns that into a table
//! entry. No export has code of its own for the calling convention.

use core::convert::Infallible;

use nt::{Irql, NTSTATUS, Pod};
use record::What;

use crate::failure;
use crate::frame::CallFrame;
use crate::guest::Guest;
use crate::kernel::Kernel;
use crate::ps::thread;

/// Module that exports a routine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Module {
    /// `ntoskrnl.exe`.
    Ntoskrnl,
    /// `hal.dll`, which newer versions only forward from.
    Hal,
}

impl Module {
    /// Returns the module's file name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ntoskrnl => "ntoskrnl.exe",
            Self::Hal => "hal.dll",
        }
    }
}

/// How much of an export is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Everything a driver can observe, held by a named test.
    Full,
    /// Some of it; what is missing is reported as an event when it is asked for.
    Partial,
    /// It returns and does nothing. Counts as absent.
    Stub,
    /// Not there; a call is reported.
    Absent,
}

impl State {
    /// Returns the word the ledger and the listings use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Partial => "partial",
            Self::Stub => "stub",
            Self::Absent => "absent",
        }
    }
}

/// What kind of C type an argument or a result has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No result.
    Void,
    /// An integer or enumeration of so many bytes.
    Integer(u8),
    /// `LARGE_INTEGER` passed by value.
    LargeInteger,
    /// An address.
    Pointer,
    /// The routine does not return.
    Never,
    /// `...`
    Variable,
}

/// A C prototype as far as the machine code knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Fixed arguments, and [`Kind::Variable`] last where there are more.
    pub arguments: &'static [Kind],
    /// Result.
    pub result: Kind,
}

/// An export that drivers can call.
#[derive(Clone, Copy, Debug)]
pub struct Export {
    /// Name.
    pub name: &'static str,
    /// Module that drivers import it from.
    pub module: Module,
    /// Highest IRQL its contract allows.
    pub irql: Irql,
    /// Lowest IRQL its contract allows.
    pub lowest: Irql,
    /// Whether the executive judges the IRQL by itself, so that it is not judged twice.
    pub judged_below: bool,
    /// How much of it is there.
    pub state: State,
    /// Prototype.
    pub signature: Signature,
    /// What runs.
    pub handler: fn(&'static Kernel, &CallFrame) -> u64,
}

impl Export {
    /// Serves one call: judges the IRQL, tells whoever listens, lets others run, and calls the handler.
    ///
    /// An IRQL that the contract forbids is an event and nothing else: what NT's code would tolerate goes on.
    pub fn call(&self, kernel: &'static Kernel, frame: &CallFrame) -> u64 {
        let host = kernel.host();
        thread::reap(kernel);
        let irql = host.irql();
        if (irql > self.irql && !self.judged_below) || irql < self.lowest {
            let (lowest, highest) = (self.lowest.0, self.irql.0);
            host.emit(What::IrqlContract { name: self.name.into(), lowest, highest, actual: irql.0 });
        }
        if self.state == State::Stub {
            host.emit(What::StubExport { name: self.name.into() });
        }
        let tracing = host.tracing();
        if tracing {
            host.emit(What::ExportCalled { name: self.name.into(), arguments: frame.registers() });
        }
        host.scheduling_point();
        let injected = if host.injects() { failure::injected(kernel, self, frame) } else { None };
        let value = injected.unwrap_or_else(|| (self.handler)(kernel, frame));
        if tracing {
            host.emit(What::ExportReturned { name: self.name.into(), value });
        }
        host.leaving();
        value
    }
}

/// A variable (data) that drivers import.
#[derive(Clone, Copy)]
pub struct DataExport {
    /// Name.
    pub name: &'static str,
    /// Bytes, a multiple of the alignment 8 or less than it.
    pub size: usize,
    /// Writes the value once the kernel is up.
    pub init: fn(&Kernel, Guest<u64>),
}

impl core::fmt::Debug for DataExport {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DataExport")
            .field("name", &self.name)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A type that an export can take.
pub trait Argument: Sized {
    /// What it is in C.
    const KIND: Kind;

    /// Decodes the argument with number `index`. Does not return for an address that is not guest memory.
    fn decode(kernel: &Kernel, frame: &CallFrame, index: usize) -> Self;
}

/// A type that an export can return.
pub trait Returned {
    /// What it is in C.
    const KIND: Kind;

    /// Makes the value of `rax`.
    fn encode(self) -> u64;
}

macro_rules! integers {
    ($($t:ty),*) => { $(
        impl Argument for $t {
            const KIND: Kind = Kind::Integer(size_of::<$t>() as u8);

            fn decode(_: &Kernel, frame: &CallFrame, index: usize) -> Self {
                frame.argument(index) as $t
            }
        }

        impl Returned for $t {
            const KIND: Kind = Kind::Integer(size_of::<$t>() as u8);

            fn encode(self) -> u64 {
                self as u64
            }
        }
    )* };
}
integers!(u8, u16, u32, u64, i8, i16, i32, i64, usize);

impl Argument for Irql {
    const KIND: Kind = Kind::Integer(1);

    fn decode(_: &Kernel, frame: &CallFrame, index: usize) -> Self {
        Self(frame.argument(index) as u8)
    }
}

impl Returned for Irql {
    const KIND: Kind = Kind::Integer(1);

    fn encode(self) -> u64 {
        u64::from(self.0)
    }
}

impl Argument for NTSTATUS {
    const KIND: Kind = Kind::Integer(4);

    fn decode(_: &Kernel, frame: &CallFrame, index: usize) -> Self {
        Self(frame.argument(index) as u32)
    }
}

impl Returned for NTSTATUS {
    const KIND: Kind = Kind::Integer(4);

    fn encode(self) -> u64 {
        u64::from(self.0)
    }
}

impl Returned for () {
    const KIND: Kind = Kind::Void;

    /// Windows leaves whatever is in `rax`; a constant keeps runs reproducible.
    fn encode(self) -> u64 {
        0
    }
}

impl Returned for Infallible {
    const KIND: Kind = Kind::Never;

    fn encode(self) -> u64 {
        match self {}
    }
}

/// An address that the export passes on or compares but does not follow: contexts, routines, handles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address(pub u64);

impl Address {
    /// No address.
    pub const NULL: Self = Self(0);

    /// Returns the address as a pointer.
    #[must_use]
    pub fn ptr<T>(self) -> *mut T {
        core::ptr::with_exposed_provenance_mut(self.0 as usize)
    }
}

impl<T> From<*mut T> for Address {
    fn from(pointer: *mut T) -> Self {
        Self(pointer.expose_provenance() as u64)
    }
}

impl Argument for Address {
    const KIND: Kind = Kind::Pointer;

    fn decode(_: &Kernel, frame: &CallFrame, index: usize) -> Self {
        Self(frame.argument(index))
    }
}

impl Returned for Address {
    const KIND: Kind = Kind::Pointer;

    fn encode(self) -> u64 {
        self.0
    }
}

impl<T: Pod> Argument for Guest<T> {
    const KIND: Kind = Kind::Pointer;

    fn decode(kernel: &Kernel, frame: &CallFrame, index: usize) -> Self {
        Self::new(kernel, frame.argument(index))
    }
}

impl<T: Pod> Argument for Option<Guest<T>> {
    const KIND: Kind = Kind::Pointer;

    fn decode(kernel: &Kernel, frame: &CallFrame, index: usize) -> Self {
        Guest::optional(kernel, frame.argument(index))
    }
}

impl<T: Pod> Returned for Guest<T> {
    const KIND: Kind = Kind::Pointer;

    fn encode(self) -> u64 {
        self.address()
    }
}

/// `LARGE_INTEGER` by value: a union, which Windows x64 passes like the integer it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeInteger(pub i64);

impl Argument for LargeInteger {
    const KIND: Kind = Kind::LargeInteger;

    fn decode(_: &Kernel, frame: &CallFrame, index: usize) -> Self {
        Self(frame.argument(index) as i64)
    }
}

impl Returned for LargeInteger {
    const KIND: Kind = Kind::LargeInteger;

    fn encode(self) -> u64 {
        self.0 as u64
    }
}

/// The `...` of a prototype: address of the first variable slot.
#[derive(Clone, Copy, Debug)]
pub struct Variable(pub u64);

impl Argument for Variable {
    const KIND: Kind = Kind::Variable;

    fn decode(_: &Kernel, frame: &CallFrame, index: usize) -> Self {
        Self(frame.slot(index))
    }
}

/// A function that can be an export. `Shape` is its type without the kernel: `fn(A, B) -> R`.
pub trait Handler<Shape>: Copy {
    /// Its prototype.
    const SIGNATURE: Signature;

    /// Decodes the arguments, calls it, encodes the result.
    fn serve(self, kernel: &'static Kernel, frame: &CallFrame) -> u64;
}

macro_rules! handlers {
    ($( ($($argument:ident = $index:literal),*) )*) => { $(
        impl<Function, $($argument: Argument,)* Result: Returned> Handler<fn($($argument),*) -> Result> for Function
        where
            Function: Fn(&'static Kernel, $($argument),*) -> Result + Copy,
        {
            const SIGNATURE: Signature =
                Signature { arguments: &[$(<$argument as Argument>::KIND),*], result: <Result as Returned>::KIND };

            #[expect(clippy::allow_attributes, reason = "unused only in the case without arguments")]
            #[allow(unused_variables, reason = "unused only in the case without arguments")]
            fn serve(self, kernel: &'static Kernel, frame: &CallFrame) -> u64 {
                self(kernel, $(<$argument as Argument>::decode(kernel, frame, $index)),*).encode()
            }
        }
    )* };
}
handlers! {
    ()
    (A = 0)
    (A = 0, B = 1)
    (A = 0, B = 1, C = 2)
    (A = 0, B = 1, C = 2, D = 3)
    (A = 0, B = 1, C = 2, D = 3, E = 4)
    (A = 0, B = 1, C = 2, D = 3, E = 4, F = 5)
    (A = 0, B = 1, C = 2, D = 3, E = 4, F = 5, G = 6)
    (A = 0, B = 1, C = 2, D = 3, E = 4, F = 5, G = 6, H = 7)
    (A = 0, B = 1, C = 2, D = 3, E = 4, F = 5, G = 6, H = 7, I = 8)
    (A = 0, B = 1, C = 2, D = 3, E = 4, F = 5, G = 6, H = 7, I = 8, J = 9)
    (A = 0, B = 1, C = 2, D = 3, E = 4, F = 5, G = 6, H = 7, I = 8, J = 9, K = 10)
    (A = 0, B = 1, C = 2, D = 3, E = 4, F = 5, G = 6, H = 7, I = 8, J = 9, K = 10, L = 11)
}

/// Returns the prototype of `handler`. What the table uses to learn it from the function's type.
pub const fn signature_of<Shape, H: Handler<Shape>>(_: &H) -> Signature {
    H::SIGNATURE
}

/// Makes one table entry: `export!(KeSetEvent, Ntoskrnl, DISPATCH, Full, ke::KeSetEvent)`.
#[macro_export]
macro_rules! export {
    ($name:ident, $module:ident, $irql:ident, $state:ident, $handler:path) => {
        $crate::export!($name, $module, $irql, $state, $handler, PASSIVE, false)
    };
    ($name:ident, $module:ident, $irql:ident, $state:ident, $handler:path, judged below) => {
        $crate::export!($name, $module, $irql, $state, $handler, PASSIVE, true)
    };
    ($name:ident, $module:ident, $irql:ident, $state:ident, $handler:path, from $lowest:ident) => {
        $crate::export!($name, $module, $irql, $state, $handler, $lowest, false)
    };
    (
        $name:ident,
        $module:ident,
        $irql:ident,
        $state:ident,
        $handler:path,
        $lowest:ident,
        $judged_below:literal
    ) => {
        $crate::export::Export {
            name: stringify!($name),
            module: $crate::export::Module::$module,
            irql: nt::Irql::$irql,
            lowest: nt::Irql::$lowest,
            judged_below: $judged_below,
            state: $crate::export::State::$state,
            signature: $crate::export::signature_of(&$handler),
            handler: |kernel, frame| $crate::export::Handler::serve($handler, kernel, frame),
        }
    };
}
