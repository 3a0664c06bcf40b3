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
