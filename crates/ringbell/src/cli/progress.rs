//! A progress bar on stderr for long work, hidden when nobody looks at a terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that takes less is over before anybody could read a bar.
const WORTH_A_BAR: u64 = 256 << 20;

/// A bar that counts bytes.
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    /// Makes a bar; it appears with the first report of enough work.
    pub(super) fn new(what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let style = "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta} left";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what);
        Self { bar }
    }

    /// Takes it off the screen.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl inspect::Progress for Bar {
    fn at(&self, done: u64, total: u64) {
        if self.bar.length().is_none() {
            self.bar.set_length(total);
            if total >= WORTH_A_BAR {
                // Hides itself where stderr is no terminal.
                self.bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(10));
            }
        }
        self.bar.set_position(done);
    }
}

/// A bar that counts schedules.
pub(super) struct Schedules {
    bar: ProgressBar,
}

impl Schedules {
    /// Makes a bar for so many; it hides itself where stderr is no terminal.
    pub(super) fn new(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
        let style = "exploring {wide_bar} {pos}/{len} {per_sec} {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message("nothing found");
        Self { bar }
    }

    /// So many were played, and so many different things found.
    pub(super) fn played(&self, schedules: u64, finds: usize) {
        self.bar.set_position(schedules);
        if finds > 0 {
            self.bar.set_message(format!("found: {finds}"));
        }
    }

    /// Finds are being made shorter, with so many tries so far.
    pub(super) fn shortening(&self, tries: u64) {
        self.bar.set_message(format!("shortening, {tries} tried"));
    }

    /// Takes it off the screen.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inspect::Progress as _;

    #[test]
    fn a_bar_follows_the_work() {
        let bar = Bar::new("testing");
        bar.at(1, 100);
        bar.at(60, 100);
        assert_eq!((bar.bar.position(), bar.bar.length()), (60, Some(100)));
        assert!(bar.bar.is_hidden(), "too little work to show");
        bar.end();
        assert!(bar.bar.is_finished());
    }
}
