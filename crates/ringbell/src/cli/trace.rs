//! `ringbell trace`: a debugger's breakpoint log read back.

use std::path::{Path, PathBuf};

use clap::Args;
use inspect::trace::{compare, decode, read};
use record::TraceLog;
use serde_json::json;

use super::Failure;
use super::file;
use super::options::Format;
use super::output::{Answer, Verdict, say};

/// Arguments of `ringbell trace`.
#[derive(Debug, Args)]
#[command(
    after_help = "A log shows attempts: a breakpoint on `nt!ExCreateCallback` stops before the call. What each \
                        came to is judged by order and catalog, and says how surely.\n\n\
                        exit codes: 0 read; 1 a log that holds no call and no listing, or several that differ; 2 a log could not be read"
)]
pub(super) struct Arguments {
    /// Logs of WinDbg; several are compared by name
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let logs = arguments.logs.iter().map(|path| open(path)).collect::<Result<Vec<_>, _>>()?;
    let silent = |log: &&TraceLog| log.attempts.is_empty() && log.listed.is_empty();
    for log in logs.iter().filter(silent) {
        say(&format!(
            "`{}` holds no call of ExCreateCallback and no listing of a directory",
            super::failure::printable(&log.source)
        ));
    }
    let comparison = (logs.len() > 1).then(|| compare(&logs));
    let verdict = match &comparison {
        Some(comparison) if !comparison.agrees() => Verdict::Findings,
        // Nothing was read: whoever asks by exit code must not take that for a log in which nothing happened.
        _ if logs.iter().any(|log| silent(&log)) => Verdict::Findings,
        _ => Verdict::Clean,
    };
    let text = match arguments.format {
        Format::Text => {
            let mut text = logs.iter().map(view::trace::table).collect::<Vec<_>>().join("\n");
            if let Some(comparison) = &comparison {
                let sources: Vec<&str> = logs.iter().map(|log| log.source.as_str()).collect();
                let rows = comparison.names.iter().map(|row| (row.name.as_str(), row.attempts.as_slice()));
                text.push('\n');
                text.push_str(&view::trace::comparison(&sources, rows, comparison.agrees()));
            }
            text
        }
        Format::Json => {
            let logs =
                logs.iter().map(view::trace::json).collect::<Result<Vec<_>, _>>().map_err(|error| {
                    Failure::new(format!("the answer could not be written as JSON: {error}"))
                })?;
            let comparison = comparison.map(|comparison| {
                json!({
                    "agrees": comparison.agrees(),
                    "names": comparison.names.iter().map(|row| json!({
                        "name": row.name, "attempts": row.attempts, "differs": row.differs(),
                    })).collect::<Vec<_>>(),
                })
            });
            format!("{:#}\n", json!({ "logs": logs, "comparison": comparison }))
        }
    };
    Ok(Answer { text, verdict })
}

fn open(path: &Path) -> Result<TraceLog, Failure> {
    if path.is_dir() {
        return Err(Failure::new(format!("`{}` is a folder", file::shown(path))).hint("give the log inside"));
    }
    let bytes = file::read_log(path)?;
    Ok(read(&file::shown(path), &decode(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(paths: &[PathBuf], format: Format) -> Answer {
        run(&Arguments { logs: paths.to_vec(), format }).unwrap()
    }

    fn boot() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../nt/data/windbg-boot-trace.log")
    }

    #[test]
    fn the_recorded_boot_is_told_as_a_table_and_as_json() {
        let text = ask(&[boot()], Format::Text);
        assert_eq!(text.verdict, Verdict::Clean);
        assert!(text.text.contains("81 lines, 76 attempts"), "{}", text.text);
        assert!(text.text.contains("lines skipped: 5"), "{}", text.text);
        let json: serde_json::Value = serde_json::from_str(&ask(&[boot()], Format::Json).text).unwrap();
        let attempts = json["logs"][0]["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 76);
        assert_eq!(attempts[0]["name_at"], "0xffffef835e406770");
        assert_eq!(json["comparison"], serde_json::Value::Null);
    }

    #[test]
    fn logs_that_differ_turn_the_exit_code() {
        let folder = std::env::temp_dir().join(format!("ringbell-trace-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let other = folder.join("other.log");
        std::fs::write(&other, "ExCreateCallback: \\Callback\\PowerState\n").unwrap();
        let differing = ask(&[boot(), other], Format::Text);
        assert_eq!(differing.verdict, Verdict::Findings);
        assert!(differing.text.ends_with("the logs differ\n"));
        assert_eq!(ask(&[boot(), boot()], Format::Text).verdict, Verdict::Clean);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_without_a_call_is_a_partial_result() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        for path in ["../../README.md", "../../drivers/bin/listener.sys", "/dev/null"] {
            let path = manifest.join(path);
            let paths = [path, boot()];
            assert_eq!(ask(&paths[..1], Format::Text).verdict, Verdict::Findings, "{}", paths[0].display());
            assert_eq!(ask(&paths, Format::Json).verdict, Verdict::Findings);
        }
        assert_eq!(ask(&[manifest.join("tests/data/listing.log")], Format::Text).verdict, Verdict::Clean);
    }

    #[test]
    #[cfg(unix)]
    fn a_log_without_an_end_is_refused_with_the_hint_of_this_command() {
        let error = run(&Arguments { logs: vec!["/dev/zero".into()], format: Format::Text }).unwrap_err();
        assert!(error.to_string().ends_with("\nhint: give the log of a debugger, a text file\n"), "{error}");
    }

    #[test]
    fn a_log_that_is_not_there_is_refused() {
        let error =
            run(&Arguments { logs: vec!["/nowhere/boot.log".into()], format: Format::Text }).unwrap_err();
        assert_eq!(error.to_string(), "error: `/nowhere/boot.log` does not exist\nhint: check the path\n");
    }
}
