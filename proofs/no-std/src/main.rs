//! Callback objects with no operating system underneath.
//!
//! The executive boots on a platform of nothing but memory, a named object is created, two routines listen, and the
//! bell is rung. Two system calls of Linux are all that touches the outside: one to say what happened, one to leave. On bare metal they would be a
//! serial port and a halt.
#![no_std]
#![no_main]

mod platform;
mod runtime;

use core::arch::{asm, global_asm};
use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

use executive::{CallbackOptions, Executive, Protocol};
use nt::Profile;
use platform::{Arena, Bare};

// ANCHOR: rings
#[global_allocator]
static ARENA: Arena = Arena::new();

static RUNG: AtomicUsize = AtomicUsize::new(0);

fn rings() -> Result<(), &'static str> {
    let bare = Bare::new(&ARENA, die).ok_or("no memory")?;
    let executive =
        Executive::boot_with(bare, Profile::DEFAULT, Protocol::Swift).map_err(|_| "it does not boot")?;
    let bell = executive
        .create_callback(&CallbackOptions::named("\\Callback\\Doorbell"))
        .map_err(|_| "the object cannot be created")?;
    let first = bell.register_fn(|button, _| _ = RUNG.fetch_add(button, Ordering::Relaxed));
    let first = first.map_err(|_| "the first routine is refused")?;
    let second = bell.register_fn(|_, _| _ = writeln!(Console, "somebody is at the door"));
    let _second = second.map_err(|_| "the second routine is refused")?;
    bell.notify(1, 0);
    drop(first);
    bell.notify(10, 0);
    let rung = RUNG.load(Ordering::Relaxed);
    _ = writeln!(Console, "the first listener counted {rung}, and left before the second ring");
    Ok(())
}
// ANCHOR_END: rings

/// Where the program begins, with a stack that is aligned as calls want it.
extern "C" fn start() -> ! {
    match rings() {
        Ok(()) => exit(0),
        Err(why) => die(why),
    }
}

global_asm!(".globl _start", "_start:", "and rsp, -16", "call {start}", "ud2", start = sym start);

/// Standard output.
struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // SAFETY: system call 1 writes the bytes to descriptor 1 and changes nothing here but the registers named.
        unsafe {
            asm!("syscall", inlateout("rax") 1_usize => _, in("rdi") 1, in("rsi") text.as_ptr(), in("rdx") text.len(),
                 lateout("rcx") _, lateout("r11") _, options(nostack));
        }
        Ok(())
    }
}

fn exit(code: usize) -> ! {
    // SAFETY: system call 231 ends the process.
    unsafe { asm!("syscall", in("rax") 231, in("rdi") code, options(noreturn, nostack)) }
}

fn die(why: &str) -> ! {
    _ = writeln!(Console, "the world ended: {why}");
    exit(1)
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    _ = writeln!(Console, "{info}");
    exit(1)
}
