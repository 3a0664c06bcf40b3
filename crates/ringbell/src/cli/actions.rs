//! `--notify` and `--event`, which are played in the order in which they were written.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use ringbell::Ring;
use ringbell::scenario::{self, Act, Mistake};

use super::Failure;

/// What to do once the drivers are loaded, as written.
#[derive(Clone, Debug, Default)]
pub(super) struct Actions(Vec<Written>);

#[derive(Clone, Debug)]
enum Written {
    Notify(String),
    Event(String),
}

impl Actions {
    /// Reads what was written.
    pub(super) fn read(&self) -> Result<Vec<Act>, Failure> {
        self.0.iter().map(Written::read).collect()
    }
}

impl Written {
    fn read(&self) -> Result<Act, Failure> {
        Ok(match self {
            Self::Notify(text) => Act::Ring(text.parse::<Ring>().map_err(Mistake::from)?),
            Self::Event(name) => Act::Event(scenario::event(name)?),
        })
    }
}

const NOTIFY: &str = "notify";
const EVENT: &str = "event";

impl Args for Actions {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new(NOTIFY)
                    .long(NOTIFY)
                    .value_name("NAME[=A1[,A2]][@IRQL]")
                    .action(ArgAction::Append)
                    .help("Ring an object; IRQL is `passive` (default), `apc` or `dispatch`; repeatable"),
            )
            .arg(
                Arg::new(EVENT)
                    .long(EVENT)
                    .value_name("NAME")
                    .action(ArgAction::Append)
                    .help("Play an event of Windows, such as `power.ac`; repeatable"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Actions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut written = Vec::new();
        let mut add = |name: &str, kind: fn(String) -> Written| {
            let values = matches.get_many::<String>(name).into_iter().flatten();
            let places = matches.indices_of(name).into_iter().flatten();
            written.extend(places.zip(values).map(|(place, value)| (place, kind(value.clone()))));
        };
        add(NOTIFY, Written::Notify);
        add(EVENT, Written::Event);
        written.sort_by_key(|(place, _)| *place);
        Ok(Self(written.into_iter().map(|(_, written)| written).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
