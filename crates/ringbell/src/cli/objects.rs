//! `ringbell objects`: the namespace as WinObj shows it, with the listeners, and what no name leads to.

use clap::Args;
use record::Snapshot;

use super::Failure;
use super::boot;
use super::options::Format;
use super::output::Answer;
use super::world::{self, World};

/// Arguments of `ringbell objects`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// After a recorded boot with its drivers
    #[arg(long)]
    with_drivers: bool,
    /// Windows version [default: win11-24h2; with drivers win11]
    #[arg(long, value_name = "PROFILE")]
    os: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let profile = boot::chosen(arguments.os.as_deref(), arguments.with_drivers)?;
    let world = World::start(profile)?;
    world.admit();
    world.go_on()?;
    if arguments.with_drivers {
        // The kernel has made its own objects itself, and listens on them; the rest comes from the record.
        world.replay(world::replayable().filter(|row| !row.is_kernel_creation()));
    }
    answer(&world.snapshot(), arguments.format)
}

fn answer(snapshot: &Snapshot, format: Format) -> Result<Answer, Failure> {
    match format {
        Format::Text => Ok(Answer::clean(view::namespace::tree(snapshot))),
        Format::Json => view::json::snapshot(snapshot)
            .map(Answer::clean)
            .map_err(|error| Failure::new(format!("the answer could not be written as JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nt::Profile;

    #[test]
    fn the_kernels_listeners_are_shown_under_their_names() {
        let world = World::start(Profile::DEFAULT).unwrap();
        world.go_on().unwrap();
        let tree = answer(&world.snapshot(), Format::Text).unwrap().text;
        let lines: Vec<_> = tree.lines().map(str::trim).collect();
        let power = lines.iter().position(|line| line.starts_with("PowerState")).unwrap();
        assert_eq!(lines[power + 1], "<- nt!EtwpPowerStateCallback");
        let apart = lines.iter().position(|line| *line == "callback objects without a name").unwrap();
        for routine in ["PopUmpoMessageCallback", "PopMonitorAlpcCallback", "SshpAlpcMessageCallback"] {
            let place = lines.iter().position(|line| *line == format!("<- nt!{routine}")).unwrap();
            assert!(place > apart, "{routine}");
        }
    }

    #[test]
    fn the_listeners_are_those_of_the_catalog() {
        let world = World::start(Profile::DEFAULT).unwrap();
        world.go_on().unwrap();
        let snapshot = world.snapshot();
        let mut there: Vec<&str> = snapshot
            .objects
            .iter()
            .flat_map(|it| &it.listeners)
            .filter_map(|it| it.routine_name.as_deref())
            .collect();
        let mut known: Vec<&str> = nt::catalog::entries()
            .flat_map(|entry| entry.boot_listeners())
            .map(|listener| listener.routine)
            .collect();
        there.sort_unstable();
        known.sort_unstable();
        assert_eq!(there, known);
    }
}
