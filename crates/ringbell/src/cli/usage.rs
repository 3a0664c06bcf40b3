//! What clap has to say, in this command's grammar: one sentence, one hint.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::Failure;
use super::output::Verdict;

/// Prints help, version or refusal, whichever it is, and returns the exit code.
pub(super) fn answer(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that went away has seen enough.
            let _ = error.print();
            Verdict::Clean.into()
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Verdict::Refused.into()
        }
        _ => {
            refusal(error).print();
            Verdict::Refused.into()
        }
    }
}

fn refusal(error: &clap::Error) -> Failure {
    let rendered = error.render().to_string();
    let mut sentence = String::new();
    // The first paragraph; what follows are tips and the usage.
    for line in rendered.lines().take_while(|line| !line.is_empty()) {
        let line = line.trim();
        if !line.starts_with('[') {
            sentence.push_str(if sentence.is_empty() { "" } else { " " });
            sentence.push_str(line);
        }
    }
    let sentence = sentence.strip_prefix("error: ").unwrap_or(&sentence).replace('\'', "`");
    Failure::new(sentence.trim_end_matches('.')).hint(hint(error))
}

fn hint(error: &clap::Error) -> String {
    for kind in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg, ContextKind::SuggestedValue] {
        match error.get(kind) {
            Some(ContextValue::String(name)) => return format!("did you mean `{name}`?"),
            Some(ContextValue::Strings(names)) if !names.is_empty() => {
                return format!("did you mean `{}`?", names.join("` or `"));
            }
            _ => {}
        }
    }
    if error.kind() == ErrorKind::MissingRequiredArgument && error.to_string().contains("<DRIVER>") {
        return "name a driver (`.sys`) or a scenario (`.toml`); `ringbell demo` needs neither".into();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => format!("values: {}", values.join(", ")),
        _ => "`ringbell --help` lists the commands, `ringbell COMMAND --help` the options of one".into(),
    }
}
