//! Both protocols play the same random histories: several objects whose names come and go, routines that register, unregister and ring from
//! within a call, nine notifies deep, at both IRQLs, enumerations, and now and then what cannot end well. Deliveries, results, counts and lists must be the same, and
//! the ones that NT allows. `RINGBELL_DIFFERENTIAL` says how many histories; one that fails is made shorter first.
#![cfg(target_arch = "x86_64")]

mod history;
mod judge;
mod play;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};

use executive::Protocol;
use nt::Profile;

use history::{Dice, History, shortest};
use judge::judge;
use play::{Line, play};

/// Histories where nobody asks for more.
const HISTORIES: u64 = 1000;

fn histories(count: u64) -> impl Iterator<Item = History> {
    (0..count).map(|seed| Dice(seed).history(Profile::ALL.len()))
}

/// Plays a history on both protocols.
fn try_both(history: &History) -> Result<Vec<Line>, String> {
    let [reference, swift] = [Protocol::Reference, Protocol::Swift].map(|protocol| {
        catch_unwind(AssertUnwindSafe(|| play(history, protocol))).map_err(|payload| {
            let text = payload.downcast_ref::<String>().cloned();
            format!(
                "{protocol:?}: {}",
                text.or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).into()))
                    .unwrap_or_default()
            )
        })
    });
    let (reference, swift) = (reference?, swift?);
    for (protocol, lines) in [("Reference", &reference), ("Swift", &swift)] {
        judge(lines).map_err(|why| format!("{protocol}: {why}"))?;
    }
    let differs = reference.iter().zip(&swift).position(|(one, other)| one != other);
    if let Some(index) = differs {
        return Err(format!("line {index}: Reference {:?}, Swift {:?}", reference[index], swift[index]));
    }
    if reference.len() != swift.len() {
        return Err(format!("Reference has {} lines, Swift {}", reference.len(), swift.len()));
    }
    Ok(reference)
}

#[test]
fn both_protocols_play_the_same_histories_alike() {
    let count = match env::var("RINGBELL_DIFFERENTIAL") {
        Ok(text) => text.parse().expect("`RINGBELL_DIFFERENTIAL` is a number of histories"),
        Err(_) => HISTORIES,
    };
    let (mut calls, mut nested, mut appended, mut over) = (0, 0, 0, 0);
    for (seed, history) in histories(count).enumerate() {
        let Ok(lines) = try_both(&history) else {
            let short = shortest(history, |shorter| try_both(shorter).is_err());
            panic!("history {seed}: {}\n{short:#?}", try_both(&short).expect_err("it still fails"));
        };
        let mut depth = 0;
        for line in &lines {
            match line {
                Line::Called { .. } => {
                    depth += 1;
                    calls += 1;
                    nested += u64::from(depth > 1);
                }
                Line::Returns { .. } => depth -= 1,
                Line::Registered { listener: Some(_), .. } if depth > 0 => appended += 1,
                Line::Over(_) => over += 1,
                _ => {}
            }
        }
    }
    println!(
        "{count} histories: {calls} calls, {nested} of them inside another, {appended} registrations inside a call, {over} ends"
    );
    assert!(
        calls > count && nested > count && appended > count / 4 && over > 0,
        "the histories are too tame"
    );
}

/// Where a call is in the lines of a history that has at least two in one notify.
fn lines_with_two_calls() -> (Vec<Line>, usize, usize) {
    histories(100)
        .filter_map(|history| {
            let lines = try_both(&history).expect("alike");
            let first = lines.iter().position(|line| matches!(line, Line::Called { .. }))?;
            let Line::Called { notify, .. } = lines[first] else { unreachable!("just found") };
            let again = |line: &Line| matches!(line, Line::Called { notify: its, .. } if *its == notify);
            let second = first + 1 + lines[first + 1..].iter().position(again)?;
            Some((lines, first, second))
        })
        .next()
        .expect("a history with two calls in one notify")
}

#[test]
fn the_judge_notices_what_nt_does_not_do() {
    let (lines, first, second) = lines_with_two_calls();
    assert_eq!(judge(&lines), Ok(()));
    let changed = |change: &dyn Fn(&mut Vec<Line>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        judge(&lines)
    };
    assert!(changed(&|lines| lines.swap(first, second)).is_err(), "another order");
    assert!(changed(&|lines| _ = lines.remove(first)).is_err(), "one is left out");
    assert!(changed(&|lines| lines.insert(second, lines[first].clone())).is_err(), "one is called twice");
    let Line::Called { listener, .. } = lines[second] else { unreachable!("a call") };
    assert!(
        changed(&|lines| lines.insert(second, Line::Leaves { listener })).is_err(),
        "called after it left"
    );
    let late = Line::Registered { object: usize::MAX, listener: Some(usize::MAX) };
    assert_eq!(changed(&|lines| lines.push(late.clone())), Ok(()));
    let Line::Called { notify, .. } = lines[first] else { unreachable!("a call") };
    let object = lines.iter().find_map(|line| match line {
        Line::Rings { notify: its, object } if *its == notify => Some(*object),
        _ => None,
    });
    let appended = Line::Registered { object: object.expect("it rings"), listener: Some(usize::MAX - 1) };
    assert!(changed(&|lines| lines.insert(second, appended.clone())).is_err(), "appended, and not called");
}

#[test]
fn a_history_that_fails_is_made_shorter() {
    // As if a notify inside another were a mistake.
    let fails = |history: &History| {
        let lines = try_both(history).expect("alike");
        let mut depth = 0;
        lines.iter().any(|line| {
            depth +=
                i32::from(matches!(line, Line::Rings { .. })) - i32::from(matches!(line, Line::Rung { .. }));
            depth == 2
        })
    };
    let long = histories(100).find(fails).expect("a history that fails");
    let short = shortest(long, fails);
    // One or two objects, a registration, a notify, and a script that rings.
    assert!(short.deeds.len() <= 4, "{short:#?}");
    assert_eq!(short.scripts.concat().len(), 1, "{short:#?}");
}
