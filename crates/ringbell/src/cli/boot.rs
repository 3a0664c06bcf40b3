//! `ringbell boot`: the executive's start, every callback object as it appears.

use clap::Args;
use nt::Profile;
use view::boot::{self, CreateCall};

use super::Failure;
use super::options::{self, Format};
use super::output::{self, Answer};
use super::world::{self, World};

/// Arguments of `ringbell boot`.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Go on to a recorded boot: the calls of the kernel and its drivers, 76 in all
    #[arg(long)]
    with_drivers: bool,
    /// Print the calls as a breakpoint on `nt!ExCreateCallback` does in WinDbg
    #[arg(long)]
    trace: bool,
    /// Windows version [default: win11-24h2; with drivers win11]
    #[arg(long, value_name = "PROFILE")]
    os: Option<String>,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t, conflicts_with = "trace")]
    format: Format,
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let profile = chosen(arguments.os.as_deref(), arguments.with_drivers)?;
    let (world, calls) = start(profile, arguments.with_drivers)?;
    if !arguments.with_drivers {
        world.admit();
    }
    Ok(match arguments.format {
        Format::Json => Answer::json(&boot::json(&calls)),
        Format::Text if arguments.trace => Answer::clean(boot::trace(&calls)),
        Format::Text => Answer::clean(boot::table(&calls) + &boot::listeners(&world.snapshot())),
    })
}

/// Picks the version. The recorded boot was that of a kernel with seven built-in objects, so it brings its own default.
pub(super) fn chosen(os: Option<&str>, with_drivers: bool) -> Result<&'static Profile, Failure> {
    if with_drivers && os.is_none() {
        output::say(
            "profile `win11`, whose built-in objects are those of the recorded kernel; `--os` chooses another",
        );
        return Ok(Profile::WIN11);
    }
    options::profile(os)
}

/// Starts a kernel and returns it with the calls it made.
///
/// With drivers, the record has the kernel's later calls, too, so that the kernel does not make them by itself: the calls are then
/// the recorded ones, neither more nor fewer, and the kernel's own listeners are not there.
fn start(profile: &'static Profile, with_drivers: bool) -> Result<(World, Vec<CreateCall>), Failure> {
    let world = World::start(profile)?;
    let mut calls = world.calls();
    if with_drivers {
        world::name_callers(&mut calls);
        world.replay(world::replayable());
        let mut later = world.calls();
        world::name_callers_by_row(&mut later, world::replayable());
        calls.append(&mut later);
    } else {
        world.go_on()?;
        calls.append(&mut world.calls());
        world::name_callers(&mut calls);
    }
    Ok((world, calls))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nt::catalog::{Attempt, BOOT_ATTEMPTS, Caller, Certainty, Verdict, boot_trace};
    use nt::{STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS};
    use record::CreateOutcome;

    fn calls(profile: &'static Profile, with_drivers: bool) -> Vec<CreateCall> {
        start(profile, with_drivers).unwrap().1
    }

    /// Cuts the addresses out of a trace: they are another machine's.
    fn without_addresses(trace: &str) -> Vec<String> {
        trace
            .lines()
            .filter(|line| line.starts_with("   +0x010 "))
            .map(|line| match (line.find("0xffff"), line.find(" _UNICODE")) {
                (Some(from), Some(to)) => format!("{}{}", &line[..from], &line[to..]),
                _ => line.to_owned(),
            })
            .collect()
    }

    #[test]
    fn the_trace_is_the_published_one_line_by_line() {
        let calls = calls(Profile::WIN11, true);
        let ours = boot::trace(&calls);
        assert_eq!(without_addresses(&ours), without_addresses(boot_trace()));
        assert_eq!(ours.lines().count(), 76);
        for (ours, theirs) in
            ours.lines().zip(boot_trace().lines().filter(|line| line.starts_with("   +0x010 ")))
        {
            assert_eq!(ours.len(), theirs.len());
        }
    }

    /// Tells whether a call came to what the recorded machine did.
    fn agrees(call: &CreateCall, row: &Attempt) -> bool {
        let outcome = match row.verdict {
            Verdict::Created => CreateOutcome::Created,
            Verdict::Opened => CreateOutcome::Opened,
            Verdict::Failed => CreateOutcome::Failed,
            Verdict::Unnamed => CreateOutcome::Unnamed,
        };
        call.result.is_some_and(|(result, _)| result == outcome)
    }

    #[test]
    fn the_recorded_boot_comes_out_as_classified() {
        let calls = calls(Profile::WIN11, true);
        assert_eq!(calls.len(), BOOT_ATTEMPTS.len());
        for (call, row) in calls.iter().zip(BOOT_ATTEMPTS) {
            assert!(agrees(call, row), "attempt {}: {:?}", row.number, call.result);
            let expected =
                if row.verdict == Verdict::Failed { STATUS_OBJECT_NAME_NOT_FOUND } else { STATUS_SUCCESS };
            assert_eq!(call.result.unwrap().1, expected, "attempt {}", row.number);
        }
        let world = World::start(Profile::WIN11).unwrap();
        world.replay(world::replayable());
        let snapshot = world.snapshot();
        assert_eq!(snapshot.objects.iter().filter(|object| object.name.is_none()).count(), 5);
        let named = snapshot.namespace.iter().filter(|entry| entry.type_name == "Callback").count();
        assert_eq!(named, BOOT_ATTEMPTS.iter().filter(|row| row.verdict == Verdict::Created).count());
    }

    /// The open that `afd.sys` makes after `tdx.sys`; the recorded boot ends before it.
    const AFD: Attempt = Attempt {
        number: 77,
        recorded_at: 0,
        name: Some("\\Callback\\AfdTdxCallback"),
        caller: Caller::Driver("afd.sys"),
        attributes: 0x40,
        create: false,
        multiple: true,
        keep_reference: true,
        verdict: Verdict::Opened,
        certainty: Certainty::Inferred,
        note: "",
    };

    #[test]
    fn without_tdx_the_object_of_afd_cannot_be_opened() {
        let open = |tdx: bool| {
            let world = World::start(Profile::WIN11).unwrap();
            world.replay(world::replayable().filter(|row| tdx || row.caller != Caller::Driver("tdx.sys")));
            world.calls();
            world.replay([&AFD]);
            world.calls()[0].result.unwrap()
        };
        assert_eq!(open(true), (CreateOutcome::Opened, STATUS_SUCCESS));
        assert_eq!(open(false), (CreateOutcome::Failed, STATUS_OBJECT_NAME_NOT_FOUND));
    }

    #[test]
    fn every_call_of_the_kernel_has_a_caller() {
        for profile in Profile::ALL {
            for call in [calls(profile, false), calls(profile, true)].concat() {
                assert!(call.who.is_some() && call.certainty.is_some(), "{}: {call:?}", profile.name);
            }
        }
    }

    #[test]
    fn an_old_kernel_lacks_what_the_drivers_look_for() {
        let calls = calls(Profile::ROS, true);
        let processor =
            calls.iter().find(|call| call.name.as_deref() == Some("\\Callback\\ProcessorAdd")).unwrap();
        assert_eq!(processor.result, Some((CreateOutcome::Failed, STATUS_OBJECT_NAME_NOT_FOUND)));
    }

    #[test]
    fn two_starts_print_the_same() {
        assert_eq!(calls(Profile::DEFAULT, false), calls(Profile::DEFAULT, false));
        assert_eq!(calls(Profile::WIN11, true), calls(Profile::WIN11, true));
    }
}
