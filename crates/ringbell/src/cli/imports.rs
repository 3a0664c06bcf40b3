//! `ringbell imports`: what drivers ask of the kernel, and how much of it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use image::{ForeignModule, Import, ModuleClass, classify_module, foreign_modules};
use ntoskrnl::State;
use ntoskrnl::ledger::ledger;
use serde_json::{Value, json};

use super::Failure;
use super::failure::printable;
use super::file;
use super::options::Format;
use super::output::{Answer, Verdict};

/// Arguments of `ringbell imports`.
#[derive(Debug, Args)]
#[command(
    after_help = "exit codes: 0 everything is there; 1 something is absent or a stub, comes from another module than \
                        the kernel's, or a file was skipped; 2 no file could be read"
)]
pub(super) struct Arguments {
    /// Driver files, or folders of them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// List every import of every driver, not only of a single one
    #[arg(long)]
    each: bool,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A driver and what it imports.
struct Driver {
    name: String,
    wanted: Vec<Wanted>,
    foreign: Vec<ForeignModule>,
}

/// One import from the kernel.
struct Wanted {
    /// `ntoskrnl.exe!DbgPrint`, the module in lower case.
    name: String,
    state: State,
    /// What is missing; for what is absent, what it belongs to.
    why: String,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let files = file::expand(&arguments.files)?;
    let mut drivers = Vec::new();
    let mut skipped = Vec::new();
    for path in &files {
        match read(path) {
            Ok(driver) => drivers.push(driver),
            Err(failure) => skipped.push(failure),
        }
    }
    if drivers.is_empty() {
        let Some(last) = skipped.pop() else { return Err(Failure::new("no driver file was given")) };
        skipped.iter().for_each(Failure::print);
        return Err(last);
    }
    skipped.iter().for_each(Failure::print);
    let complete = skipped.is_empty() && drivers.iter().all(Driver::is_complete);
    let text = match arguments.format {
        Format::Text => text(&drivers, arguments.each || files.len() == 1),
        Format::Json => format!("{:#}\n", json(&drivers)),
    };
    Ok(Answer { text, verdict: if complete { Verdict::Clean } else { Verdict::Findings } })
}

fn read(path: &Path) -> Result<Driver, Failure> {
    let bytes = file::read(path)?;
    let image = file::parse(path, &bytes)?;
    let imports = image.imports().map_err(|error| file::refused(path, &error))?;
    let wanted = imports.iter().filter(|import| classify_module(&import.module) == ModuleClass::Kernel);
    let name = path.file_name().map_or_else(|| file::shown(path), |name| file::shown(Path::new(name)));
    Ok(Driver { name, wanted: wanted.map(judge).collect(), foreign: foreign_modules(&imports) })
}

/// Looks an import up in the ledger.
fn judge(import: &Import) -> Wanted {
    let name = printable(&format!("{}!{}", import.module.to_ascii_lowercase(), import.symbol));
    let Some(symbol) = import.name() else {
        return Wanted {
            name,
            state: State::Absent,
            why: "by ordinal, which every build of the kernel numbers anew".into(),
        };
    };
    match ledger().get(symbol) {
        Some(entry) => {
            let why = match (entry.state, entry.note) {
                (_, Some(note)) => note.to_owned(),
                (State::Full, None) => String::new(),
                (_, None) => entry.about.title.clone(),
            };
            Wanted { name, state: entry.state, why }
        }
        None => Wanted { name, state: State::Absent, why: "no kernel is known to export it".into() },
    }
}

/// Worst first.
const STATES: [State; 4] = [State::Absent, State::Stub, State::Partial, State::Full];

impl Driver {
    fn is_complete(&self) -> bool {
        self.foreign.is_empty()
            && self.wanted.iter().all(|it| matches!(it.state, State::Full | State::Partial))
    }

    /// `9 imports: 8 full, 1 absent`, then the other modules.
    fn summary(&self) -> String {
        let mut parts = Vec::new();
        for state in STATES.into_iter().rev() {
            let count = self.wanted.iter().filter(|wanted| wanted.state == state).count();
            if count > 0 {
                parts.push(format!("{count} {}", state.name()));
            }
        }
        let foreign: usize = self.foreign.iter().map(|module| module.count).sum();
        if foreign > 0 {
            parts.push(format!("{foreign} from other modules"));
        }
        let count = self.wanted.len() + foreign;
        match count {
            0 => "no imports".to_owned(),
            1 => format!("1 import: {}", parts.join(", ")),
            _ => format!("{count} imports: {}", parts.join(", ")),
        }
    }
}

fn text(drivers: &[Driver], each: bool) -> String {
    let mut out = String::new();
    let width = drivers.iter().map(|driver| driver.name.chars().count()).max().unwrap_or(0);
    for driver in drivers {
        let _ = writeln!(out, "{:<width$}  {}", driver.name, driver.summary());
        for module in &driver.foreign {
            let _ = writeln!(out, "  {} is {}", printable(&module.module), module.what);
        }
        if each {
            let longest = driver.wanted.iter().map(|it| it.name.chars().count()).max().unwrap_or(0);
            for state in STATES {
                for wanted in driver.wanted.iter().filter(|wanted| wanted.state == state) {
                    let line = format!("  {:<8} {:<longest$}  {}", state.name(), wanted.name, wanted.why);
                    let _ = writeln!(out, "{}", line.trim_end());
                }
            }
        }
    }
    if drivers.len() > 1 {
        let ranking = ranking(drivers);
        out.push_str(if ranking.is_empty() {
            "\nnothing is missing\n"
        } else {
            "\nmissing, by number of drivers\n"
        });
        let longest = ranking.iter().map(|(_, it)| it.name.chars().count()).max().unwrap_or(0);
        for (count, it) in ranking {
            let line = format!("{count:>5}  {:<8} {:<longest$}  {}", it.state.name(), it.name, it.why);
            let _ = writeln!(out, "{}", line.trim_end());
        }
    }
    out
}

/// What is not fully there, with the number of drivers that want it, the most wanted first.
fn ranking(drivers: &[Driver]) -> Vec<(usize, &Wanted)> {
    let mut counts: BTreeMap<&str, (usize, &Wanted)> = BTreeMap::new();
    for driver in drivers {
        let mut seen = BTreeSet::new();
        for wanted in driver.wanted.iter().filter(|it| it.state != State::Full) {
            if seen.insert(wanted.name.as_str()) {
                counts.entry(&wanted.name).or_insert((0, wanted)).0 += 1;
            }
        }
    }
    let mut ranking: Vec<_> = counts.into_values().collect();
    ranking.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.name.cmp(&b.1.name)));
    ranking
}

fn json(drivers: &[Driver]) -> Value {
    json!({
        "drivers": drivers.iter().map(|driver| json!({
            "name": driver.name,
            "complete": driver.is_complete(),
            "imports": driver.wanted.iter().map(|wanted| json!({
                "name": wanted.name,
                "state": wanted.state.name(),
                "why": (!wanted.why.is_empty()).then_some(&wanted.why),
            })).collect::<Vec<_>>(),
            "other_modules": driver.foreign.iter().map(|module| json!({
                "module": module.module,
                "imports": module.count,
                "what": module.what,
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "missing": ranking(drivers).into_iter().map(|(count, it)| json!({
            "name": it.name,
            "state": it.state.name(),
            "why": it.why,
            "drivers": count,
        })).collect::<Vec<_>>(),
    })
}
