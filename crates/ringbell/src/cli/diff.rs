//! `ringbell diff`: callback objects of two memory images compared.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use super::inspect::{Reading, look};
use super::options::Format;
use super::output::{Answer, Verdict};

/// Arguments of `ringbell diff`.
#[derive(Debug, Args)]
#[command(
    after_help = "Objects are matched by name, objects without one by their port or who listens, listeners by `module+offset`: \
                        load addresses may differ.\n\n\
                        exit codes: 0 no differences; 1 differences, or an image that could be read in part only; 2 an image was refused"
)]
pub(super) struct Arguments {
    /// The earlier image
    #[arg(value_name = "BEFORE")]
    before: PathBuf,
    /// The later image
    #[arg(value_name = "AFTER")]
    after: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let before = look(&arguments.before, &arguments.reading)?;
    let after = look(&arguments.after, &arguments.reading)?;
    let difference = ::inspect::diff(&before, &after);
    let text = match arguments.format {
        Format::Text => view::difference::text(&difference),
        Format::Json => view::difference::json(&difference)
            .map_err(|error| Failure::new(format!("the answer could not be written as JSON: {error}")))?,
    };
    let same = difference.changes.is_empty() && difference.partial.is_empty();
    Ok(Answer { text, verdict: if same { Verdict::Clean } else { Verdict::Findings } })
}
