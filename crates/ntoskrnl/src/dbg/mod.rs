//! `Dbg`: debug output.
//!
//! Models the `DbgPrint` family of `ntoskrnl.exe`. Different on purpose: every message is recorded, whatever its
//! component and level; on Windows the filter masks of the component decide, and `DbgPrint` itself is silent unless
//! somebody asked for it.

#[cfg(all(test, target_arch = "x86_64"))]
mod tests;

use record::What;

use crate::export::{Address, Variable};
use crate::format::{Sink, format, text};
use crate::guest;
use crate::kernel::Kernel;
use nt::NTSTATUS;

/// Most bytes of one message; a longer one is cut, and its last byte becomes a newline.
const MESSAGE: usize = 512;

fn print(k: &Kernel, prefix: u64, pattern: u64, arguments: u64, filter: Option<(u32, u32)>) -> NTSTATUS {
    let mut sink = Sink::<u8>::new(MESSAGE);
    if prefix != 0 {
        for byte in guest::terminated_within::<u8>(k, prefix, MESSAGE) {
            sink.push(byte);
        }
    }
    format(k, &guest::terminated::<u8>(k, pattern), arguments, &mut sink);
    let (mut bytes, length) = sink.finish();
    if length > MESSAGE {
        bytes[MESSAGE - 1] = b'\n';
    }
    k.host().emit(What::DebugPrint { text: text(&bytes), filter });
    nt::STATUS_SUCCESS
}

/// Prints to the debugger.
pub(crate) fn DbgPrint(k: &Kernel, pattern: Address, arguments: Variable) -> NTSTATUS {
    print(k, 0, pattern.0, arguments.0, None)
}

/// Prints to the debugger, in the name of a component.
pub(crate) fn DbgPrintEx(
    k: &Kernel,
    component: u32,
    level: u32,
    pattern: Address,
    arguments: Variable,
) -> NTSTATUS {
    print(k, 0, pattern.0, arguments.0, Some((component, level)))
}

/// Prints to the debugger, in the name of a component, with the arguments in a `va_list`.
pub(crate) fn vDbgPrintEx(
    k: &Kernel,
    component: u32,
    level: u32,
    pattern: Address,
    arguments: Address,
) -> NTSTATUS {
    print(k, 0, pattern.0, arguments.0, Some((component, level)))
}

/// The same with a text before each message.
pub(crate) fn vDbgPrintExWithPrefix(
    k: &Kernel,
    prefix: Address,
    component: u32,
    level: u32,
    pattern: Address,
    arguments: Address,
) -> NTSTATUS {
    print(k, prefix.0, pattern.0, arguments.0, Some((component, level)))
}

/// Prints that an assertion failed. A free build goes on, as this does.
pub(crate) fn RtlAssert(k: &Kernel, assertion: Address, file: Address, line: u32, message: Address) {
    let read = |address: Address| {
        if address == Address::NULL { String::new() } else { text(&guest::terminated::<u8>(k, address.0)) }
    };
    let text = format!(
        "\n*** Assertion failed: {}{}\n***   Source File: {}, line {line}\n\n",
        read(message),
        read(assertion),
        read(file)
    );
    k.host().emit(What::DebugPrint { text, filter: None });
}
