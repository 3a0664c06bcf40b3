//! `ringbell run`: real drivers, loaded, rung, unloaded and audited.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use nt::NTSTATUS;
use record::{DriverRecord, Ending, Report, Severity};
use ringbell::scenario::{self, Act, DriverImage, Level, Mistake, Scenario, Step};
use ringbell::{DumpForm, MachineError, Stopped};

use super::actions::Actions;
use super::failure::printable;
use super::options::{self, Format};
use super::output::{Answer, Verdict, say};
use super::{Failure, file};

/// The kind of a dump.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    // No documentation comments: clap would make a list of them in every help text.
    Full,
    Bitmap,
}

/// Arguments of `ringbell run`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Driver images (`.sys`), loaded in this order and unloaded in reverse; one may be a scenario (`.toml`)
    #[arg(value_name = "DRIVER", required_unless_present = "scenario")]
    drivers: Vec<PathBuf>,
    #[command(flatten)]
    told: Told,
    /// Leave the drivers loaded at the end; there is no departure audit then
    #[arg(long)]
    keep_loaded: bool,
    /// Write the machine as a Windows crash dump, after the last step and before the drivers leave, or at a bugcheck, hang or deadlock; `ringbell inspect` reads it
    #[arg(long, value_name = "FILE")]
    dump: Option<PathBuf>,
    /// The kind of that dump: one that lists runs of pages (type 1), or a bit for each page (type 5) [default: full]
    #[arg(long, value_name = "FORM", value_enum, hide_default_value = true)]
    dump_form: Option<Form>,
    /// How the report is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What can be said of a run beside its drivers, on the command line or by a scenario file. The command line wins.
#[derive(Debug, Args)]
pub(super) struct Told {
    /// Settings, steps and expectations from a TOML file; its steps follow the drivers and come before `--notify` and `--event`
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    #[command(flatten)]
    actions: Actions,
    /// Windows version to be [default: win11-24h2]
    #[arg(long, value_name = "PROFILE")]
    os: Option<String>,
    /// Wall time each step may take, such as `500ms` or `10s` [default: 10s]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    timeout: Option<String>,
    /// Seed of every choice: cookies, and with any but 0 the schedule. The same seed gives the same run [default: 0]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    seed: Option<String>,
    /// Virtual processors, 1 to 64 [default: 1]
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    cpus: Option<String>,
    /// Run the processors at the same time, each in a host thread: what happens is then no function of a seed, and pageable memory
    /// stays accessible at DISPATCH_LEVEL [default: 2 processors]
    #[arg(long)]
    parallel: bool,
    /// Play this schedule again, as a report shows it (`s2:12=256,40=step`), instead of the seed's
    #[arg(long, value_name = "TEXT")]
    schedule: Option<String>,
    /// Make a call fail: the number among the calls that can fail (`3`), or its name as `ringbell explore --faults` shows it
    #[arg(long, value_name = "CALL")]
    fault: Option<String>,
    /// Most events of the run; one more ends it [default: 1000000]
    #[arg(long, value_name = "NUMBER", value_parser = options::positive, allow_hyphen_values = true)]
    event_limit: Option<u64>,
    /// Show every export call
    #[arg(long)]
    trace: bool,
    /// Do not report this rule (`RB004` or its name); may be given more than once
    #[arg(long, value_name = "RULE")]
    allow: Vec<String>,
    /// Make every finding of this rule an error; may be given more than once
    #[arg(long, value_name = "RULE")]
    deny: Vec<String>,
}

impl Told {
    /// Makes a scenario of it, and of files that are drivers or, once, a scenario.
    ///
    /// # Errors
    ///
    /// Says what is wrong with a file or an option.
    pub(super) fn scenario(&self, files: &[PathBuf]) -> Result<Scenario, Failure> {
        let mut settings: Vec<&Path> = self.scenario.iter().map(PathBuf::as_path).collect();
        let mut drivers = Vec::new();
        for path in files {
            if is_scenario(path) {
                settings.push(path);
            } else {
                drivers.push(driver(path)?);
            }
        }
        let mut scenario = match settings.as_slice() {
            [] => Scenario::of(drivers),
            [path] => Scenario::load_for(path, drivers)?,
            [first, second, ..] => {
                let (first, second) = (file::shown(first), file::shown(second));
                return Err(Failure::new(format!("two scenarios are given, `{first}` and `{second}`"))
                    .hint("a run has one; give the drivers of the other beside it"));
            }
        };
        self.settle(&mut scenario)?;
        Ok(scenario)
    }

    /// Returns the options that are given and name one schedule.
    pub(super) fn names_schedule(&self) -> impl Iterator<Item = &'static str> + use<> {
        let given = [("--seed", self.seed.is_some()), ("--schedule", self.schedule.is_some())];
        given.into_iter().filter(|(_, given)| *given).map(|(option, _)| option)
    }

    /// Returns whether an option names a call that is to fail.
    pub(super) fn names_fault(&self) -> bool {
        self.fault.is_some()
    }

    /// Lays the options over a scenario.
    fn settle(&self, scenario: &mut Scenario) -> Result<(), Failure> {
        let config = &mut scenario.config;
        if let Some(name) = &self.os {
            config.profile = options::profile(Some(name))?.name.into();
        }
        if let Some(text) = &self.timeout {
            config.timeout = scenario::limit(text)?;
        }
        if let Some(text) = &self.seed {
            config.seed = scenario::seed(text)?;
        }
        if let Some(text) = &self.cpus {
            config.processors = scenario::processors(text)?;
        }
        if self.parallel {
            config.parallel = true;
            if self.cpus.is_none() {
                config.processors = config.processors.max(scenario::PARALLEL_PROCESSORS);
            }
        }
        if let Some(text) = &self.schedule {
            config.schedule = Some(scenario::schedule(text)?);
        }
        if let Some(text) = &self.fault {
            config.faults = Some(scenario::fault(text)?);
        }
        if let Some(limit) = self.event_limit {
            config.event_limit = limit;
        }
        if config.parallel {
            let option = self.names_schedule().next().map(|option| format!("`{option}`"));
            let key =
                || scenario.names_schedule.first().map(|(key, place)| format!("{place}: the key `{key}`"));
            if let Some(what) = option.or_else(key) {
                let message = format!("{what} cannot order processors that run at the same time");
                let hint =
                    "leave out what names an order, or `--parallel`, in a scenario `parallel-processors`";
                return Err(Failure::new(message).hint(hint));
            }
        }
        config.trace_exports |= self.trace;
        let rules = |names: &[String]| {
            names.iter().map(|name| scenario::rule(name)).collect::<Result<Vec<_>, Mistake>>()
        };
        let (allow, deny) = (rules(&self.allow)?, rules(&self.deny)?);
        if let Some(both) = allow.iter().find(|rule| deny.contains(rule)) {
            return Err(
                Failure::new(format!("`{both}` is both allowed and denied")).hint("give one of the two")
            );
        }
        for (rules, level) in [(allow, Level::Allow), (deny, Level::Deny)] {
            for rule in rules {
                scenario.levels.set(rule, level);
            }
        }
        scenario.steps.extend(self.actions.read()?.into_iter().map(Step::new));
        Ok(())
    }
}

/// Most bytes of a text that is looked at to see whether it is a scenario.
const SCENARIO: u64 = 1 << 20;

/// Whether a file is taken for a scenario: by its name, so that it need not be read to know.
fn is_scenario(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Reads a driver. What is a text of keys and values is told apart from a broken driver.
fn driver(path: &Path) -> Result<DriverImage, Failure> {
    DriverImage::read(path).map_err(|mistake| {
        let text = scenario::read_limited(path, SCENARIO, "").ok().filter(|_| path.is_file());
        match text.as_deref().map(std::str::from_utf8) {
            Some(Ok(text)) if text.contains("[[step]]") => {
                Failure::new(format!("`{}` is not a driver, and looks like a scenario", file::shown(path)))
                    .hint("name it with `--scenario`, or let its name end in `.toml`")
            }
            _ => mistake.into(),
        }
    })
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let mut scenario = arguments.told.scenario(&arguments.drivers)?;
    scenario.keep_loaded |= arguments.keep_loaded;
    if let Some(path) = &arguments.dump {
        scenario.dump = Some(path.clone());
    }
    if let Some(form) = arguments.dump_form {
        if scenario.dump.is_none() {
            return Err(Failure::new("there is no dump to have the form that `--dump-form` asks for")
                .hint("name its file with `--dump`, or `dump` in the scenario"));
        }
        scenario.dump_form = match form {
            Form::Full => DumpForm::Full,
            Form::Bitmap => DumpForm::Bitmap,
        };
    }
    if !scenario.steps.iter().any(|step| {
        matches!(step.act, Act::Load(_) | Act::Ring(_) | Act::Event(_) | Act::Wait(_) | Act::Parallel(_))
    }) {
        let name = arguments.told.scenario.as_ref().or(arguments.drivers.first());
        let name = name.map(|path| format!(" `{}`", file::shown(path))).unwrap_or_default();
        return Err(Failure::new(format!("the scenario{name} loads nothing and does nothing"))
            .hint("add `drivers = [\"my.sys\"]` to it, or name drivers beside it"));
    }
    play(&scenario, arguments.format)
}

/// Lets Ctrl-C end the runs that are under way, so that what is known of them is told.
pub(super) fn catch_signals() {
    if let Err(error) = ringbell::interrupt::catch() {
        say(&format!("Ctrl-C will end this without a report: {error}"));
    }
}

/// Plays and reports. What stopped a run is said on stderr, and what happened until then is the answer all the same.
pub(super) fn play(scenario: &Scenario, format: Format) -> Result<Answer, Failure> {
    catch_signals();
    let (report, stopped) = match scenario.run() {
        Ok(report) => (report, None),
        Err(Stopped { error, place, report: Some(report) }) => {
            (*report, Some(refused(&error, place.as_ref())))
        }
        Err(Stopped { error, place, report: None }) => return Err(refused(&error, place.as_ref())),
    };
    match report.allowed {
        0 => {}
        1 => say("1 finding is not reported, because its rule is allowed"),
        allowed => say(&format!("{allowed} findings are not reported, because their rules are allowed")),
    }
    if let Some(path) = scenario.dump.as_ref().filter(|_| report.dump.is_none()) {
        let because = match report.ending {
            Ending::Finished => "the run stopped before",
            Ending::Died { .. } => "the kernel process is gone, and memory with it",
            Ending::EventLimit { .. } => "the run was ended at the limit of events",
            Ending::Interrupted { .. } => "the run was interrupted",
            _ => "memory could not be read when the machine died",
        };
        let hint = match path.is_file() {
            true => "the file that is there is older than this run",
            false => {
                "run it again without `--dump` to see how it ends, or with the steps before the last one"
            }
        };
        say(&format!("no dump was written to `{}`, because {because}\nhint: {hint}", file::shown(path)));
    }
    let text = match format {
        Format::Text => ringbell::story(&report),
        Format::Json => view::json::report(&report)
            .map_err(|error| Failure::new(format!("cannot write the report: {error}")))?,
    };
    for driver in report.failed_drivers() {
        entry_failed(driver).print();
    }
    let verdict = match stopped {
        Some(failure) => {
            failure.print();
            Verdict::of_signal().unwrap_or(Verdict::Refused)
        }
        None => verdict(&report),
    };
    Ok(Answer { text, verdict })
}

/// Says that a driver did not start.
pub(super) fn entry_failed(driver: &DriverRecord) -> Failure {
    let status = NTSTATUS(driver.entry_status.unwrap_or_default());
    let failure = Failure::new(format!("`{}`: `DriverEntry` returned {status}", printable(&driver.name)));
    let what = status.name().map_or_else(|| format!("{:#010x}", status.0), str::to_owned);
    failure.hint(format!("`ringbell explain {what}` says what it means; `--trace` shows the calls before it"))
}

/// Says a machine's error in the command's grammar.
pub(super) fn refused(error: &MachineError, place: Option<&scenario::Place>) -> Failure {
    let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
    let text = error.to_string();
    match text.split_once("\nhint: ") {
        Some((message, hint)) => Failure::new(format!("{place}{message}")).hint(hint),
        None => Failure::new(format!("{place}{text}")),
    }
}

/// Returns what the exit code says about a report. What was expected counts for nothing.
pub(super) fn verdict(report: &Report) -> Verdict {
    match &report.ending {
        Ending::Interrupted { .. } => return Verdict::of_signal().unwrap_or(Verdict::Refused),
        _ if report.expectations.ending => {}
        Ending::Bugcheck(_) => return Verdict::Bugcheck,
        Ending::Hang(_) => return Verdict::Hang,
        Ending::Died { .. } => return Verdict::Refused,
        Ending::AbsentExport { .. } | Ending::EventLimit { .. } => return Verdict::Findings,
        Ending::Finished => {}
    }
    let missed = report.expectations.failed().next().is_some();
    let failed = report.failed_drivers().next().is_some();
    let found = report.unexpected().any(|finding| finding.severity >= Severity::Warning);
    if missed || failed || found || !report.tainted.is_empty() { Verdict::Findings } else { Verdict::Clean }
}
