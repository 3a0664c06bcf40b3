//! The program begins at its own `_start`, without the C library's.

fn main() {
    println!("cargo::rustc-link-arg-bins=-nostartfiles");
    println!("cargo::rustc-link-arg-bins=-nostdlib");
    println!("cargo::rustc-link-arg-bins=-static");
    println!("cargo::rerun-if-changed=build.rs");
}
