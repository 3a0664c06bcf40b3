//! The command line: what can be asked, and how an answer or a refusal reaches people and programs.
//!
//! stdout is data, stderr is talk. A command returns the text to print and the verdict it stands for, or a
//! [`Failure`]; only this file prints and decides the exit code.

mod actions;
mod boot;
mod demo;
mod diff;
mod dt;
mod explain;
mod explore;
mod failure;
mod file;
mod imports;
mod inspect;
mod objects;
mod options;
mod output;
mod progress;
mod run;
mod trace;
mod usage;
mod world;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;
use output::Verdict;

/// Windows kernel callback objects: run drivers that use them, look at them, have them explained.
#[derive(Debug, Parser)]
#[command(name = "ringbell", version, about, after_help = EXIT_CODES, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "exit codes: 0 clean; 1 findings, differences, a failed driver or a partial result; \
                          2 usage, refused input or host error; 3 bugcheck; 4 hang; 130 interrupted";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the bundled pair of drivers: one listens, the other rings
    Demo(demo::Arguments),
    /// Load drivers in order, ring, unload in reverse, audit, report
    Run(run::Arguments),
    /// Search for a schedule that breaks drivers: many runs, each with another order of threads
    Explore(explore::Arguments),
    /// Start the executive and show every callback object as it appears
    Boot(boot::Arguments),
    /// Show the object namespace with the listeners of callback objects
    Objects(objects::Arguments),
    /// Explain an object, a rule, an event, a status, a bugcheck or an export
    Explain(explain::Arguments),
    /// Print a structure's layout for a Windows version, as WinDbg does
    Dt(dt::Arguments),
    /// Tell which imports of drivers are there, and rank what is missing over many
    Imports(imports::Arguments),
    /// Read a debugger's log of `nt!ExCreateCallback` back into a table
    Trace(trace::Arguments),
    /// Find the callback objects in a memory image, who listens, and what does not belong
    Inspect(inspect::Arguments),
    /// Compare the callback objects of two memory images
    Diff(diff::Arguments),
}

/// Runs the command and returns its exit code.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::answer(&error),
    };
    let result = match arguments.command {
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Explore(arguments) => explore::run(&arguments),
        Command::Boot(arguments) => boot::run(&arguments),
        Command::Objects(arguments) => objects::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Dt(arguments) => dt::run(&arguments),
        Command::Imports(arguments) => imports::run(&arguments),
        Command::Trace(arguments) => trace::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Diff(arguments) => diff::run(&arguments),
    };
    match result.and_then(|answer| output::print(&answer)) {
        Ok(verdict) => verdict.into(),
        Err(failure) => {
            failure.print();
            Verdict::of_signal().unwrap_or(Verdict::Refused).into()
        }
    }
}
