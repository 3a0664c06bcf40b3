//! A scenario file, read: from TOML to a [`Scenario`], or to the first mistake and its place.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nt::{BugCheck, Profile};
use toml::de::DeTable;

use super::cast::Cast;
use super::driver::{read_limited, shown};
use super::mistake::printable;
use super::schedule::PARALLEL_PROCESSORS;
use super::settings::{FINDING, RUN, STEP, TOP};
use super::source::Source;
use super::value::{Item, Table, Value};
use super::{
    Act, DriverImage, ExpectedEnding, ExpectedFinding, Level, Mistake, Scenario, Step, fault, limit, rule,
    schedule, seed,
};
use crate::DumpForm;

/// Longest scenario file taken.
const LONGEST: u64 = 4 << 20;

/// What a reader has learnt so far.
pub(super) struct Reader<'a> {
    /// Where paths begin.
    folder: &'a Path,
    /// Driver files that were read, so that one that is loaded often is read once.
    files: BTreeMap<PathBuf, DriverImage>,
    pub(super) cast: Cast,
}

impl Scenario {
    /// Reads a scenario file. Paths in it begin at its folder.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it, and where: nothing is started before everything was understood.
    pub fn load(path: &Path) -> Result<Self, Mistake> {
        Self::load_for(path, Vec::new())
    }

    /// Reads a scenario file that is to be played with these drivers, which are loaded before its own.
    ///
    /// # Errors
    ///
    /// As for [`Scenario::load`].
    pub fn load_for(path: &Path, drivers: Vec<DriverImage>) -> Result<Self, Mistake> {
        let bytes = read_limited(path, LONGEST, "a scenario is a TOML file, and this is too long for one")?;
        let file = shown(path);
        if bytes.starts_with(b"MZ") {
            let hint = "drivers are named on the command line, or in the scenario by `load`";
            return Err(Mistake::new(format!("`{file}` is a driver, not a scenario"), hint));
        }
        let text = std::str::from_utf8(&bytes).map_err(|error| {
            let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            let message = format!("`{file}` is no text: line {line} is not UTF-8");
            Mistake::new(message, "a scenario is a TOML file, and those are UTF-8")
        })?;
        // What is no plain file (`/dev/fd/63`) lies in no folder of interest.
        let plain = std::fs::metadata(path).is_ok_and(|facts| facts.is_file());
        let folder = path.parent().filter(|_| plain).unwrap_or(Path::new(""));
        Self::parse(text, &file, folder, drivers)
    }

    /// Reads the text of a scenario. `file` is what it is called in messages, `folder` is where paths begin, and `drivers`
    /// are loaded before its own.
    ///
    /// # Errors
    ///
    /// As for [`Scenario::load`].
    pub fn parse(text: &str, file: &str, folder: &Path, drivers: Vec<DriverImage>) -> Result<Self, Mistake> {
        let source = Source::new(file, text);
        let document = DeTable::parse(text).map_err(|error| not_toml(&source, &error))?;
        let top = Table::new(&source, TOP, document.get_ref())?;
        let mut reader = Reader { folder, files: BTreeMap::new(), cast: Cast::default() };
        let mut scenario = Self::default();
        for mut driver in drivers {
            driver.name = reader.cast.enter(&driver.name);
            scenario.steps.push(Step::new(Act::Load(driver)));
        }
        reader.settings(&top, &mut scenario)?;
        if let Some(value) = top.get("drivers") {
            for (text, span) in value.texts()? {
                let place = source.place(span.start);
                let mut driver = reader.driver(text).map_err(|mistake| source.at(span, mistake))?;
                driver.name = reader.cast.enter(&driver.name);
                scenario.steps.push(Step { act: Act::Load(driver), place: Some(place) });
            }
        }
        if let Some(value) = top.get("step") {
            for (table, span) in value.tables(STEP)? {
                scenario.steps.extend(reader.step(&table, span)?);
            }
        }
        if let Some(value) = top.get("expect") {
            reader.expected(&value.table(RUN)?, &mut scenario)?;
        }
        Ok(scenario)
    }
}

/// Says in this project's words why a text is no TOML.
fn not_toml(source: &Source<'_>, error: &toml::de::Error) -> Mistake {
    let message = error.message().trim_end_matches('.');
    let (message, hint) = match message {
        other if other.contains("recurs") => {
            ("nested too deep", "a scenario needs lists of tables of lists, and no more")
        }
        other if other.contains("escape") => (
            "a backslash that begins no escape",
            "in double quotes it is written twice; in single quotes it stands for itself",
        ),
        other if other.contains("duplicate key") => {
            (other, "each key stands once in its table; steps begin with `[[step]]`")
        }
        other => (other, "up to here the file is TOML; texts are quoted, and a step begins with `[[step]]`"),
    };
    let mistake = Mistake::new(printable(message).replace("\\n", ", "), hint);
    match error.span() {
        Some(span) => source.at(span, mistake),
        None => mistake,
    }
}

impl Reader<'_> {
    /// Reads a driver, once for all steps that load it.
    pub(super) fn driver(&mut self, file: &str) -> Result<DriverImage, Mistake> {
        if file.is_empty() {
            return Err(Mistake::new(
                "the path of the driver is empty",
                "paths begin at the scenario's folder",
            ));
        }
        let path = self.folder.join(file);
        if let Some(driver) = self.files.get(&path) {
            return Ok(driver.clone());
        }
        let driver = DriverImage::read(&path)?;
        self.files.insert(path, driver.clone());
        Ok(driver)
    }

    fn settings(&self, top: &Table<'_>, scenario: &mut Scenario) -> Result<(), Mistake> {
        let config = &mut scenario.config;
        if let Some(value) = top.get("os") {
            config.profile = profile(value.text()?).map_err(|mistake| value.wrong(mistake))?.name.into();
        }
        if let Some(value) = top.get("seed") {
            config.seed = if value.is_number() {
                value.number(0, u64::MAX)?
            } else {
                seed(value.text()?).map_err(|mistake| value.wrong(mistake))?
            };
        }
        for key in ["seed", "schedule"] {
            let place = top.get(key).map(|value| (key, top.source.place(value.at())));
            scenario.names_schedule.extend(place);
        }
        if let Some(value) = top.get("cpus") {
            config.processors = value.number(1, 64)? as u8;
        }
        if let Some(value) = top.get("parallel-processors") {
            config.parallel = value.truth()?;
            let order = ["seed", "schedule"].into_iter().find(|key| top.get(key).is_some());
            if let Some(key) = order.filter(|_| config.parallel) {
                let message = format!("`{key}` cannot order processors that run at the same time");
                return Err(
                    value.wrong(Mistake::new(message, format!("leave out `parallel-processors` or `{key}`")))
                );
            }
            if config.parallel && top.get("cpus").is_none() {
                config.processors = PARALLEL_PROCESSORS;
            }
        }
        if let Some(value) = top.get("schedule") {
            config.schedule = Some(schedule(value.text()?).map_err(|mistake| value.wrong(mistake))?);
        }
        if let Some(value) = top.get("fault") {
            config.faults = Some(fault(value.text()?).map_err(|mistake| value.wrong(mistake))?);
        }
        if let Some(value) = top.get("timeout") {
            config.timeout = limit(value.text()?).map_err(|mistake| value.wrong(mistake))?;
        }
        if let Some(value) = top.get("event-limit") {
            config.event_limit = value.number(1, u64::MAX)?;
        }
        if let Some(value) = top.get("kernel-listeners") {
            config.kernel_listeners = value.truth()?;
        }
        if let Some(value) = top.get("trace") {
            config.trace_exports = value.truth()?;
        }
        if let Some(value) = top.get("keep-loaded") {
            scenario.keep_loaded = value.truth()?;
        }
        if let Some(value) = top.get("dump") {
            let file = value.text()?;
            if file.is_empty() {
                let mistake =
                    Mistake::new("the path of the dump is empty", "paths begin at the scenario's folder");
                return Err(value.wrong(mistake));
            }
            scenario.dump = Some(self.folder.join(file));
        }
        if let Some(value) = top.get("dump-form") {
            scenario.dump_form = match value.text()? {
                "full" => DumpForm::Full,
                "bitmap" => DumpForm::Bitmap,
                _ => {
                    let mistake =
                        Mistake::new("no kind of dump is called that", "write `\"full\"` or `\"bitmap\"`");
                    return Err(value.wrong(mistake));
                }
            };
        }
        if let Some(value) = top.get("rules") {
            levels(&value, scenario)?;
        }
        Ok(())
    }

    fn expected(&self, table: &Table<'_>, scenario: &mut Scenario) -> Result<(), Mistake> {
        let source = table.source;
        if let Some(value) = table.get("findings") {
            for item in value.texts_or_tables(FINDING)? {
                scenario.expected.findings.push(match item {
                    Item::Text(text, span) => {
                        let place = Some(source.place(span.start));
                        let rule = rule(text).map_err(|mistake| source.at(span, mistake))?;
                        ExpectedFinding { rule, driver: None, count: None, place }
                    }
                    Item::Table(table, span) => {
                        let place = Some(source.place(span.start));
                        let Some(name) = table.get("rule") else {
                            let mistake = Mistake::new("the expected finding names no rule", FINDING.list());
                            return Err(source.at(span, mistake));
                        };
                        let rule = rule(name.text()?).map_err(|mistake| name.wrong(mistake))?;
                        let driver = table.get("driver").map(|value| {
                            self.cast.find(value.text()?).map_err(|mistake| value.wrong(mistake))
                        });
                        let count = table.get("count").map(|value| value.count()).transpose()?;
                        ExpectedFinding { rule, driver: driver.transpose()?, count, place }
                    }
                });
            }
        }
        if let Some(value) = table.get("ending") {
            let ending = ending(value.text()?).map_err(|mistake| value.wrong(mistake))?;
            scenario.expected.ending = Some((ending, Some(source.place(value.at()))));
        }
        Ok(())
    }
}

/// Finds a version profile.
///
/// # Errors
///
/// There is none of this name; the hint lists them.
pub fn profile(name: &str) -> Result<&'static Profile, Mistake> {
    Profile::by_name(name).ok_or_else(|| {
        let known: Vec<_> = Profile::ALL.iter().map(|profile| profile.name).collect();
        Mistake::unknown("profile", name, known.iter().copied(), &format!("profiles: {}", known.join(", ")))
    })
}

fn levels(value: &Value<'_>, scenario: &mut Scenario) -> Result<(), Mistake> {
    let source = value.source;
    let words: Vec<&str> = Level::ALL.iter().map(|(word, _)| *word).collect();
    for pair in value.pairs()? {
        let rule = rule(pair.key).map_err(|mistake| source.at(pair.key_span.clone(), mistake))?;
        let level = Level::ALL.iter().find(|(word, _)| *word == pair.text);
        let Some((_, level)) = level else {
            let otherwise = format!("levels: {}", words.join(", "));
            let mistake = Mistake::unknown("level", pair.text, words.iter().copied(), &otherwise);
            return Err(source.at(pair.text_span, mistake));
        };
        if scenario.levels.set(rule, *level).is_some() {
            let mistake = Mistake::new(format!("the level of {rule} is set twice"), "keep one of the two");
            return Err(source.at(pair.key_span, mistake));
        }
    }
    Ok(())
}

/// Endings, as they are written.
const ENDINGS: [&str; 6] = ["finished", "bugcheck", "hang", "deadlock", "absent-export", "event-limit"];

fn ending(text: &str) -> Result<ExpectedEnding, Mistake> {
    let (word, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let rest = rest.trim();
    let alone = |ending| {
        if rest.is_empty() {
            return Ok(ending);
        }
        let message = format!("nothing follows `{word}`");
        Err(Mistake::new(message, "write the word alone; only `bugcheck` and `absent-export` take more"))
    };
    match word {
        "finished" => alone(ExpectedEnding::Finished),
        "hang" => alone(ExpectedEnding::Hang),
        "deadlock" => alone(ExpectedEnding::Deadlock),
        "event-limit" => alone(ExpectedEnding::EventLimit),
        "absent-export" => Ok(ExpectedEnding::AbsentExport((!rest.is_empty()).then(|| rest.into()))),
        "bugcheck" if rest.is_empty() => Ok(ExpectedEnding::Bugcheck(None)),
        "bugcheck" => bugcheck(rest).map(|check| ExpectedEnding::Bugcheck(Some(check.0))),
        _ => {
            let otherwise = format!("endings: {}", ENDINGS.join(", "));
            Err(Mistake::unknown("ending", text, ENDINGS, &otherwise))
        }
    }
}

fn bugcheck(text: &str) -> Result<BugCheck, Mistake> {
    let upper = text.to_ascii_uppercase();
    if let Some(check) = BugCheck::ALL.iter().find(|check| check.name() == Some(&upper)) {
        return Ok(*check);
    }
    let number = upper
        .strip_prefix("0X")
        .map_or_else(|| text.parse().ok(), |digits| u32::from_str_radix(digits, 16).ok());
    number.map(BugCheck).ok_or_else(|| {
        let known = BugCheck::ALL.iter().filter_map(|check| check.name());
        Mistake::unknown("bugcheck", text, known, "write its code, such as `bugcheck 0xC4`, or its name")
    })
}
