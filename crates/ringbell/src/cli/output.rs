//! Answers: the text for stdout and the verdict it stands for.

use std::io::{self, Write as _};
use std::process::ExitCode;

use super::Failure;

/// What the exit code says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to complain about.
    Clean = 0,
    /// Findings, differences, a failed driver, or a partial result.
    Findings = 1,
    /// Usage, refused input, or host error.
    Refused = 2,
    /// Windows would have crashed.
    Bugcheck = 3,
    /// The run had to be stopped.
    Hang = 4,
    /// Ctrl-C.
    Interrupted = 130,
    /// SIGTERM.
    Terminated = 143,
}

impl Verdict {
    /// Returns what a signal to this process makes of the answer, as shells number it; `None` where none came.
    pub(super) fn of_signal() -> Option<Self> {
        // SIGINT and SIGTERM are what is caught.
        ringbell::interrupt::caught()
            .map(|signal| if signal == 2 { Self::Interrupted } else { Self::Terminated })
    }
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        Self::from(verdict as u8)
    }
}

/// A command's answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Text for stdout, ending in a newline.
    pub(super) text: String,
    /// What it stands for.
    pub(super) verdict: Verdict,
}

impl Answer {
    /// An answer with nothing to complain about.
    pub(super) fn clean(text: String) -> Self {
        Self { text, verdict: Verdict::Clean }
    }

    /// A JSON document with nothing to complain about.
    pub(super) fn json(value: &serde_json::Value) -> Self {
        Self::clean(format!("{value:#}\n"))
    }
}

/// Says something beside the answer, on stderr.
pub(super) fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "note: {text}");
}

/// Prints an answer. A reader that went away has seen enough: that is no error.
pub(super) fn print(answer: &Answer) -> Result<Verdict, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(answer.text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(answer.verdict),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(answer.verdict),
        Err(error) => Err(Failure::new(format!("cannot write to standard output: {error}"))),
    }
}
