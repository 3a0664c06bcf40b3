//! `xtask drivers`: builds every bundled driver from source and compares the result with `drivers/bin`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::manifest::{Driver, Manifest, sha256};
use crate::pe::discard_init;
use crate::toolchain::Toolchain;
use crate::{Failure, read, root, write};

/// The folders of `drivers/` that hold sources.
const GROUPS: [&str; 5] = ["faults", "fixtures", "races", "samples", "victims"];

/// Says what the committed files are worth on this machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The toolchain is the recorded one and every byte is the same.
    Identical,
    /// The toolchain is another one: its output, in this folder, has to pass the tests instead.
    Fresh(PathBuf),
    /// The committed files and the manifest were rewritten.
    Updated,
}

/// Holds the options of the command.
#[derive(Debug, Default)]
pub struct Options {
    /// Where the fresh files go; `target/drivers` unless given.
    pub out: Option<PathBuf>,
    /// Whether to replace what is committed.
    pub update: bool,
}

/// Builds, then compares or replaces.
///
/// # Errors
/// When a driver does not build, or a recorded toolchain gives other bytes than the committed ones.
pub fn run(options: &Options) -> Result<Verdict, Failure> {
    let drivers = root().join("drivers");
    let out = options.out.clone().unwrap_or_else(|| target().join("drivers"));
    std::fs::create_dir_all(&out)
        .map_err(|error| Failure::new(format!("cannot create `{}`: {error}", out.display())))?;
    let out = out
        .canonicalize()
        .map_err(|error| Failure::new(format!("cannot reach `{}`: {error}", out.display())))?;

    let toolchain = Toolchain::find()?;
    let sources = sources(&drivers)?;
    build(&toolchain, &drivers, &sources, &out)?;
    eprintln!("built {} drivers in `{}`", sources.len(), out.display());

    if options.update {
        update(&drivers, &out, &toolchain, sources)?;
        return Ok(Verdict::Updated);
    }
    let manifest = Manifest::load(&drivers)?;
    let problems = stale(&drivers, &manifest)?;
    if !problems.is_empty() {
        return Err(Failure::new(format!("the committed drivers are stale: {}", problems.join("; ")))
            .hint("run `cargo run -p xtask -- drivers --update` and commit `drivers/`"));
    }
    if *toolchain.versions() != manifest.toolchain {
        eprintln!("the committed drivers were built with {:?}", manifest.toolchain);
        eprintln!("here is {:?}, so bytes may differ", toolchain.versions());
        eprintln!(
            "hint: `drivers --update` puts the fresh ones in their place, so that every test takes them"
        );
        return Ok(Verdict::Fresh(out));
    }
    for name in manifest.driver.keys() {
        let (committed, fresh) = (drivers.join("bin").join(file_name(name)), out.join(file_name(name)));
        if let Some(offset) = first_difference(&read(&committed)?, &read(&fresh)?) {
            return Err(Failure::new(format!(
                "`{}` and `{}` differ from offset {offset:#x} on, although the toolchain is the recorded one",
                committed.display(),
                fresh.display()
            ))
            .hint("if the source or the recipe was changed on purpose, run `cargo run -p xtask -- drivers --update`"));
        }
    }
    eprintln!("all {} equal the committed ones byte for byte", manifest.driver.len());
    Ok(Verdict::Identical)
}

/// Builds the drivers given, by name and source, into an existing folder, on as many processors as there are.
///
/// # Errors
/// When one of them does not build.
pub fn build(
    toolchain: &Toolchain,
    drivers: &Path,
    sources: &BTreeMap<String, PathBuf>,
    out: &Path,
) -> Result<(), Failure> {
    toolchain.import_library(drivers, out)?;
    let queue = Mutex::new(sources.iter());
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((name, source)) = next else { return Ok(()) };
            let file = out.join(file_name(name));
            toolchain.build(drivers, source, &link_options(&drivers.join(source))?, &file)?;
            let mut image = read(&file)?;
            discard_init(&mut image)?;
            write(&file, &image)?;
        }
    };
    std::thread::scope(|scope| {
        let hands = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let hands: Vec<_> = (0..hands).map(|_| scope.spawn(work)).collect();
        hands
            .into_iter()
            .try_for_each(|hand| hand.join().unwrap_or_else(|_| Err(Failure::new("a builder panicked"))))
    })
}

/// Compares the manifest with the files it speaks of, without building anything; one sentence per disagreement.
///
/// # Errors
/// When a folder cannot be read.
pub fn stale(drivers: &Path, manifest: &Manifest) -> Result<Vec<String>, Failure> {
    let mut problems = Vec::new();
    let mut check = |what: String, path: PathBuf, recorded: &str| match std::fs::read(&path) {
        Ok(bytes) if sha256(&bytes) == recorded => {}
        Ok(_) => problems.push(format!("{what} is not what the manifest records")),
        Err(error) => problems.push(format!("{what} cannot be read: {error}")),
    };
    for (path, recorded) in &manifest.shared {
        check(format!("`{path}`"), drivers.join(path), recorded);
    }
    for (name, driver) in &manifest.driver {
        check(format!("`{}`", driver.source), drivers.join(&driver.source), &driver.source_sha256);
        check(format!("`bin/{name}.sys`"), drivers.join("bin").join(file_name(name)), &driver.sha256);
    }

    let sources = sources(drivers)?;
    for name in sources.keys().filter(|name| !manifest.driver.contains_key(*name)) {
        problems.push(format!("driver `{name}` has a source but no manifest entry"));
    }
    for file in files(&drivers.join("bin"), "sys")? {
        let name = stem(&file);
        if !manifest.driver.contains_key(&name) {
            problems.push(format!("`bin/{name}.sys` has no manifest entry"));
        }
    }
    for path in shared(drivers)? {
        if !manifest.shared.contains_key(&path) {
            problems.push(format!("`{path}` has no manifest entry"));
        }
    }
    Ok(problems)
}

fn update(
    drivers: &Path,
    out: &Path,
    toolchain: &Toolchain,
    sources: BTreeMap<String, PathBuf>,
) -> Result<(), Failure> {
    let bin = drivers.join("bin");
    std::fs::create_dir_all(&bin)
        .map_err(|error| Failure::new(format!("cannot create `{}`: {error}", bin.display())))?;
    for file in files(&bin, "sys")?.iter().filter(|file| !sources.contains_key(&stem(file))) {
        eprintln!("removing `{}`: it has no source", file.display());
        std::fs::remove_file(file)
            .map_err(|error| Failure::new(format!("cannot remove `{}`: {error}", file.display())))?;
    }

    let mut manifest = Manifest {
        toolchain: toolchain.versions().clone(),
        shared: BTreeMap::new(),
        driver: BTreeMap::new(),
    };
    for path in shared(drivers)? {
        let hash = sha256(&read(&drivers.join(&path))?);
        manifest.shared.insert(path, hash);
    }
    for (name, source) in sources {
        let bytes = read(&out.join(file_name(&name)))?;
        write(&bin.join(file_name(&name)), &bytes)?;
        let driver = Driver {
            source_sha256: sha256(&read(&drivers.join(&source))?),
            source: source.to_string_lossy().into_owned(),
            sha256: sha256(&bytes),
        };
        manifest.driver.insert(name, driver);
    }
    write(&drivers.join("MANIFEST.toml"), manifest.to_text().as_bytes())?;
    eprintln!("rewrote `drivers/bin` and `drivers/MANIFEST.toml`: {} drivers", manifest.driver.len());
    Ok(())
}

/// Lists the C files by driver name; two groups may not use the same one.
///
/// # Errors
/// When a folder cannot be read, or a name is used twice.
pub fn sources(drivers: &Path) -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut sources = BTreeMap::new();
    for group in GROUPS {
        for file in files(&drivers.join(group), "c")? {
            let name = stem(&file);
            let source = Path::new(group).join(format!("{name}.c"));
            if let Some(other) = sources.insert(name, source) {
                return Err(Failure::new(format!(
                    "`{}` and `{}` would share a name",
                    other.display(),
                    file.display()
                )));
            }
        }
    }
    Ok(sources)
}

/// Lists what every driver is built from besides its own source.
fn shared(drivers: &Path) -> Result<Vec<String>, Failure> {
    let folder = drivers.join("include");
    let mut paths = files(&folder, "h")?;
    paths.extend(files(&folder, "def")?);
    Ok(paths
        .iter()
        .filter_map(|path| path.strip_prefix(drivers).ok())
        .map(|path| path.to_string_lossy().into_owned())
        .collect())
}

/// Reads the linker options a source asks for in lines of its opening comment that start with ` * link: `.
fn link_options(source: &Path) -> Result<Vec<String>, Failure> {
    let bytes = read(source)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text
        .lines()
        .take_while(|line| !line.contains("*/"))
        .filter_map(|line| line.strip_prefix(" * link: "))
        .flat_map(str::split_whitespace)
        .map(str::to_owned)
        .collect())
}

fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Failure> {
    let list = match std::fs::read_dir(folder) {
        Ok(list) => list,
        // Version control keeps no empty folders.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::new(format!("cannot list `{}`: {error}", folder.display()))),
    };
    let mut files: Vec<PathBuf> = list
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    Ok(files)
}

fn first_difference(left: &[u8], right: &[u8]) -> Option<usize> {
    let common = left.iter().zip(right).position(|(l, r)| l != r);
    common.or_else(|| (left.len() != right.len()).then(|| left.len().min(right.len())))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn file_name(name: &str) -> String {
    format!("{name}.sys")
}
