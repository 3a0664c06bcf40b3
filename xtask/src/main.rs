//! Project chores: `cargo run -p xtask -- drivers` rebuilds the bundled drivers.

use std::process::ExitCode;

use xtask::drivers::{self, Verdict};
use xtask::{Failure, callgrind, root};

const USAGE: &str = "\
usage: cargo run -p xtask -- CHORE

  drivers [--out DIR] [--update]
      builds every driver under `drivers/` into DIR (`target/drivers`) and compares it with `drivers/bin`;
      stdout says `identical`, or `fresh DIR` where the toolchain is not the recorded one.
      --update replaces `drivers/bin` and `drivers/MANIFEST.toml` instead
  check-drivers
      compares `drivers/bin` and the sources with the manifest's hashes; needs no compiler
  callgrind [--update]
      counts the instructions of a notify with valgrind and compares them with `benches/callgrind.txt`;
      --update replaces that file instead";

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Vec<String>) -> Result<(), Failure> {
    let mut arguments = arguments.into_iter();
    match arguments.next().as_deref() {
        Some("drivers") => {
            match drivers::run(&driver_options(arguments)?)? {
                Verdict::Identical => println!("identical"),
                Verdict::Fresh(folder) => println!("fresh {}", folder.display()),
                Verdict::Updated => println!("updated"),
            }
            Ok(())
        }
        Some("check-drivers") => {
            let folder = root().join("drivers");
            let problems = drivers::stale(&folder, &xtask::manifest::Manifest::load(&folder)?)?;
            if problems.is_empty() {
                return Ok(());
            }
            Err(Failure::new(problems.join("\nxtask: "))
                .hint("run `cargo run -p xtask -- drivers --update` and commit `drivers/`"))
        }
        Some("callgrind") => {
            let options: Vec<String> = arguments.collect();
            let update = options.iter().any(|option| option == "--update");
            if options.len() > usize::from(update) {
                return Err(Failure::new("unknown option").hint("`callgrind` takes `--update`"));
            }
            print!("{}", callgrind::run(update)?);
            Ok(())
        }
        Some("--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(Failure::new(format!("unknown chore `{other}`")).hint("`--help` lists them")),
        None => Err(Failure::new("no chore given").hint("`--help` lists them")),
    }
}

fn driver_options(mut arguments: impl Iterator<Item = String>) -> Result<drivers::Options, Failure> {
    let mut options = drivers::Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--update" => options.update = true,
            "--out" => {
                let folder = arguments.next().ok_or_else(|| Failure::new("`--out` needs a folder"))?;
                options.out = Some(folder.into());
            }
            other => {
                return Err(Failure::new(format!("unknown option `{other}`"))
                    .hint("`drivers` takes `--out DIR` and `--update`"));
            }
        }
    }
    Ok(options)
}
