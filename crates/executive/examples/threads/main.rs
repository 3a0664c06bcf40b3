//! Four host threads ring one bell while a fifth comes and goes as a listener.
//!
//! Run with `cargo run --release -p ringbell-executive --example threads`.

#[cfg(target_arch = "x86_64")]
mod platform;

#[cfg(target_arch = "x86_64")]
fn main() {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use nt::Profile;
    use platform::Threads;
    use ringbell_executive::{CallbackOptions, Executive, Protocol};

    static RUNG: AtomicU64 = AtomicU64::new(0);
    let executive =
        Executive::boot_with(Threads::new(), Profile::DEFAULT, Protocol::Swift).expect("it boots");
    let bell = executive.create_callback(&CallbackOptions::named("\\Callback\\Doorbell")).expect("an object");
    let _resident = bell.register_fn(|_, _| _ = RUNG.fetch_add(1, Ordering::Relaxed)).expect("a listener");
    let closed = AtomicBool::new(false);
    let mut visits = 0;
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250_000).for_each(|_| bell.notify(0, 0)));
        }
        scope.spawn(|| {
            while RUNG.load(Ordering::Relaxed) < 1_000_000 {
                let inside = std::sync::Arc::new(AtomicU64::new(0));
                let counted = std::sync::Arc::clone(&inside);
                let guest = bell.register_fn(move |_, _| _ = counted.fetch_add(1, Ordering::Relaxed));
                drop(guest.expect("a listener"));
                // Unregistered: nobody counts any more.
                let count = inside.load(Ordering::Relaxed);
                thread::yield_now();
                assert_eq!(count, inside.load(Ordering::Relaxed));
                visits += 1;
            }
            closed.store(true, Ordering::Relaxed);
        });
    });
    println!("rung {} times, while a guest came and went {visits} times", RUNG.load(Ordering::Relaxed));
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!(
        "callback routines are called by the Windows x64 convention, which this processor does not have"
    );
}
