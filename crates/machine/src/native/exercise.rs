//! Things a kernel process can be told to do in tests only.

use record::What;
use serde::{Deserialize, Serialize};

use executive::Platform;
use ntoskrnl::Host;

use super::sys::Access;
use super::world::World;
use super::{memory, sys};
use crate::plan;
use crate::wire::{Accessible, Reply};

/// Where machine code of tests is put: the last page of the executable pool, so that its address depends on nothing.
pub(crate) const CODE: u64 = plan::EXECUTABLE_POOL.end() - plan::PAGE;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Exercise {
    /// Emit `count` events of about `bytes` each, then answer.
    Emit { count: u64, bytes: usize },
    /// Emit `count` events, then be killed by a signal.
    EmitAndDie { count: u64 },
    /// Loop without ever looking up.
    Spin,
    /// Ask the C library for the time.
    ReadClock,
    /// Panic.
    Panic,
    /// Print to both standard streams.
    Print,
    /// Leave with a code of its own.
    Exit(i32),
    /// Run machine code as a driver's, in the system thread, and note what it returns.
    Run(Vec<u8>),
    /// Wait for something that nobody will ever do.
    Wait,
    /// Send these bytes instead of a reply.
    Babble(Vec<u8>),
    /// Say that the ring is full, for ever.
    Nag,
    /// Answer, and then answer again.
    AnswerTwice,
    /// Answer another question.
    Confuse,
    /// Overwrite the ring and last words with this byte, then answer.
    Scribble(u8),
    /// Stop, deaf to every question.
    Stop,
    /// Close the socket and go on.
    HangUp,
    /// Let two threads take turns, noting who runs.
    TakeTurns,
    /// Overwrite all guest memory that can be written, then answer.
    Devastate(Vec<Accessible>),
    /// Try every way to files, sockets, programs and other processes, noting what comes of it.
    Escape,
    /// Try every way of making a process, noting what comes of it.
    Multiply,
    /// Note which numbers follow from the seed next.
    Draw,
}

pub(crate) fn run(exercise: Exercise, world: &'static World) -> Reply {
    match exercise {
        Exercise::Emit { count, bytes } => emit(world, count, bytes),
        Exercise::EmitAndDie { count } => {
            emit(world, count, 10);
            std::process::abort();
        }
        Exercise::Spin => loop {
            std::hint::spin_loop();
        },
        Exercise::ReadClock => drop(std::hint::black_box(std::time::Instant::now())),
        Exercise::Panic => panic!("told to"),
        Exercise::Print => {
            println!("to stdout");
            eprintln!("to stderr");
        }
        Exercise::Exit(code) => sys::exit_now(code),
        Exercise::Run(code) => world.perform(move |world| execute(world, &code)),
        Exercise::Wait => world.perform(|world| world.park(None)),
        Exercise::Babble(bytes) => world.channel.babble(&bytes),
        Exercise::Nag => loop {
            world.channel.send(&Reply::RingFull);
            world.channel.receive();
        },
        Exercise::AnswerTwice => world.channel.send(&Reply::Done),
        Exercise::Confuse => return Reply::Unloaded(record::UnloadOutcome::Kept),
        Exercise::Scribble(byte) => world.channel.scribble(byte),
        Exercise::Stop => sys::signal_thread(sys::thread_number(), libc::SIGSTOP),
        Exercise::HangUp => {
            world.channel.hang_up();
            loop {
                std::hint::spin_loop();
            }
        }
        Exercise::TakeTurns => take_turns(world),
        Exercise::Devastate(regions) => {
            for region in regions.iter().filter(|region| region.write) {
                // SAFETY: guest memory that can be written. What lay there is lost, which is the point: nothing is done after
                // that but answering, which takes host memory only.
                unsafe { memory::slice(region.base, region.size as usize) }.fill(0xCC);
            }
        }
        Exercise::Escape => escape(world),
        Exercise::Multiply => multiply(world),
        Exercise::Draw => note(world, format!("{:#x} {:#x}", world.draw(), world.draw())),
    }
    Reply::Done
}

fn note(world: &World, text: String) {
    world.record(What::Note { text, details: Vec::new() });
}

fn execute(world: &World, code: &[u8]) {
    // SAFETY: the end of the executable pool, which nothing has reached.
    assert!(unsafe { memory::set_access(CODE, plan::PAGE, Access::ReadWriteExecute) });
    // SAFETY: just made accessible; nothing else refers to it.
    unsafe { memory::slice(CODE, code.len()) }.copy_from_slice(code);
    let routine = CODE;
    // SAFETY: the test wrote code that takes two arguments or none.
    let value = unsafe { world.call_driver(routine, &[routine, 2]) };
    note(world, format!("returned {value:#x}"));
}

/// Tries what code that found its way into the C library could try. Calls are made by number, past everything that the library checks.
fn escape(world: &World) {
    let (file, program) = (c"/tmp/ringbell-escaped", c"/bin/true");
    let none: libc::c_ulong = 0;
    let call = |name: &str,
                number: libc::c_long,
                first: libc::c_ulong,
                second: libc::c_ulong,
                third: libc::c_ulong| {
        // SAFETY: texts that live for ever and integers; what the call would do to the process is what the test is about.
        let result = unsafe { libc::syscall(number, first, second, third, none, none, none) };
        let error = std::io::Error::last_os_error();
        let said = if result >= 0 { "done".into() } else { format!("{:?}", error.kind()) };
        note(world, format!("{name}: {said}"));
    };
    let text = |text: &std::ffi::CStr| text.as_ptr().expose_provenance() as libc::c_ulong;
    let create = (libc::O_CREAT | libc::O_WRONLY) as libc::c_ulong;
    let here = libc::c_ulong::from(libc::AT_FDCWD.cast_unsigned());
    let parent = std::os::unix::process::parent_id().into();
    call("open", libc::SYS_open, text(file), create, 0o600);
    call("openat", libc::SYS_openat, here, text(program), 0);
    call("openat2", libc::SYS_openat2, here, text(program), 0);
    call("creat", libc::SYS_creat, text(file), 0o600, 0);
    call("unlink", libc::SYS_unlink, text(file), 0, 0);
    call("mkdir", libc::SYS_mkdir, text(file), 0o700, 0);
    call("socket", libc::SYS_socket, libc::AF_INET as libc::c_ulong, libc::SOCK_STREAM as libc::c_ulong, 0);
    call("execve", libc::SYS_execve, text(program), 0, 0);
    call("kill", libc::SYS_kill, parent, 0, 0);
    call("ptrace", libc::SYS_ptrace, libc::PTRACE_ATTACH.into(), parent, 0);
    call("memfd_create", libc::SYS_memfd_create, text(file), 0, 0);
    call("io_uring_setup", libc::SYS_io_uring_setup, 1, 0, 0);
    call("tgkill", libc::SYS_tgkill, parent, parent, 0);
}

fn multiply(world: &World) {
    // SAFETY: a kernel process has one thread.
    match unsafe { super::offspring::fork_beside() } {
        Ok(None) => sys::exit_now(0),
        done => note(world, format!("clone: {:?}", done.map_err(|error| error.kind()))),
    }
    // SAFETY: as above, and the new process does nothing but exit.
    match unsafe { libc::fork() } {
        0 => sys::exit_now(0),
        id => note(world, format!("fork: {}", id > 0)),
    }
    let started = std::process::Command::new("/proc/self/exe").arg("--list").status();
    note(world, format!("command: {}", started.is_ok()));
    let thread = std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join().is_ok());
    note(world, format!("thread: {}", thread.is_ok()));
}

fn take_turns(world: &'static World) {
    for name in ["a", "b"] {
        let thread = plan::THREADS.base + plan::THREAD_STRIDE * (0x10 + u64::from(name.as_bytes()[0] - b'a'));
        let thread = memory::commit(thread, plan::THREAD_STRIDE).expect("memory").cast::<nt::KTHREAD>();
        let id = std::ptr::without_provenance_mut(0x100 + usize::from(name.as_bytes()[0]));
        // SAFETY: the beginning of memory that was committed for this thread just now and is long enough for an `ETHREAD`.
        unsafe { (*nt::KTHREAD::ethread(thread.as_ptr())).Cid.UniqueThread = id };
        let body = move || {
            for turn in 0..3 {
                note(world, format!("{name}{turn}"));
                // Turns: `a` sleeps 30 units at a time, `b` 20.
                world.sleep(if name == "a" { 30 } else { 20 });
            }
            world.scheduler.exit();
        };
        world.start(thread, Box::new(body)).expect("a thread");
    }
    world.perform(|world| world.sleep(1000));
}

fn emit(world: &World, count: u64, bytes: usize) {
    for _ in 0..count {
        world.record(What::Note { text: "x".repeat(bytes), details: Vec::new() });
    }
}
