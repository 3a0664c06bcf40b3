//! Project chores: `cargo run -p xtask -- drivers` rebuilds the bundled drivers.
fn main() {}
