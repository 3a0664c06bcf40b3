//! Failures of calls: a driver that forgets to check one, one that leaks behind one, and a near miss.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

use std::path::Path;

use record::{FaultPlan, What};
use ringbell::explore::{FaultSearch, fail_each};
use ringbell::scenario::DriverImage;
use ringbell::{Config, Ending, Report, Scenario};

fn scenario(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin").join(format!("{name}.sys"));
    let image = DriverImage::read(&path).unwrap_or_else(|_| panic!("{}", path.display()));
    Scenario::of(vec![image])
}

fn search(name: &str) -> FaultSearch {
    let search = fail_each(&scenario(name), 100, |_, _, _| {}).unwrap();
    assert!(search.always.is_empty(), "{name}: {:?}", search.always);
    assert_eq!(search.left, 0, "{name}");
    search
}

fn replay(name: &str, plan: FaultPlan) -> Report {
    let mut scenario = scenario(name);
    scenario.config = Config { faults: Some(plan), ..scenario.config };
    scenario.run().unwrap()
}

#[test]
fn an_allocation_that_is_not_checked_is_found_and_replayed() {
    let search = search("fault-unchecked");
    // Both go through one function; the call stacks tell them apart.
    assert_eq!(search.failed, 2);
    let [find] = &search.finds[..] else { panic!("{:?}", search.finds) };
    assert_eq!(find.fault.export, "ExAllocatePoolWithTag");
    assert!(find.path[0].contains("(Allocate+"), "{:?}", find.path);
    assert!(find.path[1].contains("(DriverEntry+"), "{:?}", find.path);
    assert!(find.complaints[0].what.starts_with("bugcheck"), "{:?}", find.complaints);
    let again = replay("fault-unchecked", FaultPlan::At(find.fault.clone()));
    assert_eq!((&again.ending, &again.events), (&find.report.ending, &find.report.events));
    // The same by its number, and the first one by its own: the driver checks that one.
    let second = replay("fault-unchecked", FaultPlan::Number(2));
    assert_eq!(second.ending, again.ending);
    let first = replay("fault-unchecked", FaultPlan::Number(1));
    assert_eq!((first.ending, first.findings.len()), (Ending::Finished, 0));
}

#[test]
fn what_stays_behind_on_an_error_path_is_found() {
    let search = search("fault-leak");
    assert_eq!(search.failed, 3);
    let [find] = &search.finds[..] else { panic!("{:?}", search.finds) };
    assert_eq!(find.fault.export, "ExRegisterCallback");
    let rules: Vec<_> = find.report.findings.iter().map(|finding| finding.rule.to_string()).collect();
    assert_eq!(rules, ["RB002", "RB014"]);
    let story = ringbell::story(&find.report);
    assert!(story.contains(&format!("`--fault {}`", find.fault)), "{story}");
}

#[test]
fn a_driver_that_gives_everything_back_is_left_alone_and_its_hidden_path_is_tried() {
    let search = search("fault-near-handled");
    assert!(search.finds.is_empty(), "{:?}", search.finds);
    // Three calls, and one that is made only behind the failure of the first.
    assert_eq!(search.failed, 4);
    let watched = replay("fault-near-handled", FaultPlan::Watch);
    let paths = watched.events.iter().filter(|event| matches!(event.what, What::FallibleCall { .. }));
    assert_eq!(paths.count(), 3);
}

#[test]
fn a_call_that_raises_is_made_to_and_one_that_nobody_catches_is_found() {
    let search = search("fault-raised");
    // Asked to return, the first returns NULL; the second raises.
    assert_eq!(search.failed, 2);
    let [find] = &search.finds[..] else { panic!("{:?}", search.finds) };
    assert_eq!(find.fault.export, "ExAllocatePoolWithQuotaTag");
    assert!(find.path[0].contains("(Raised+"), "{:?}", find.path);
    let [complaint] = &find.complaints[..] else { panic!("{:?}", find.complaints) };
    assert_eq!(complaint.what, "bugcheck SYSTEM_THREAD_EXCEPTION_NOT_HANDLED (0x7E)");
    assert!(complaint.place.contains("(Raised+"), "{complaint:?}");
    let said = "ExAllocatePoolWithQuotaTag was made to fail: STATUS_INSUFFICIENT_RESOURCES";
    assert!(complaint.message.contains(said), "{complaint:?}");
    let Ending::Bugcheck(check) = &find.report.ending else { panic!("{:?}", find.report.ending) };
    assert_eq!(check.parameters[0], 0xC000_009A);
    let again = replay("fault-raised", FaultPlan::At(find.fault.clone()));
    assert_eq!((&again.ending, &again.events), (&find.report.ending, &find.report.events));
}

#[test]
fn a_driver_that_catches_every_exception_is_left_alone() {
    let search = search("fault-near-raised");
    assert!(search.finds.is_empty(), "{:?}", search.finds);
    assert_eq!(search.failed, 6);
    let expected = [
        ("ExAllocatePoolWithQuotaTag", Some(0xC000_009A)),
        ("ExAllocatePoolWithTagPriority", Some(0xC000_009A)),
        ("ExAllocatePool2", Some(0xC000_009A)),
        // Returns NULL, and the driver raises by itself.
        ("IoAllocateMdl", Some(0xC000_009A)),
        ("MmProbeAndLockPages", Some(0xC000_0005)),
        ("ProbeForRead", Some(0xC000_0005)),
    ];
    for (number, (export, code)) in (1..).zip(expected) {
        let report = replay("fault-near-raised", FaultPlan::Number(number));
        let failed = report.events.iter().find_map(|event| match &event.what {
            What::FallibleCall { fault, failed: true } => Some(fault.export.as_str()),
            _ => None,
        });
        assert_eq!(failed, Some(export));
        let raised = report.events.iter().find_map(|event| match &event.what {
            What::ExceptionRaised { code, .. } => Some(*code),
            _ => None,
        });
        assert_eq!(raised, code, "{export}");
        let taken = report.events.iter().any(|event| matches!(event.what, What::ExceptionHandled { .. }));
        assert!(taken, "{export}");
        assert_eq!(report.ending, Ending::Finished, "{export}");
        assert!(report.findings.is_empty(), "{export}: {:?}", report.findings);
    }
}

#[test]
fn a_limit_leaves_calls_untried_and_says_so() {
    let search = fail_each(&scenario("fault-near-handled"), 1, |_, _, _| {}).unwrap();
    assert_eq!((search.failed, search.left), (1, 3));
}

#[test]
fn a_call_that_is_never_made_is_no_clean_run() {
    for (plan, expected) in [
        ("999", "error: no call was made to fail: the drivers make fewer than 999 that can"),
        (
            "IoCreateDevice-00c0ffee00c0ffee",
            "error: no call was made to fail: the drivers never come to `IoCreateDevice-00c0ffee00c0ffee`",
        ),
    ] {
        for format in ["text", "json"] {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringbell"))
                .args(["run", "--fault", plan, "--format", format])
                .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin/fault-leak.sys"))
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.starts_with(expected), "{said}");
            assert_eq!(said.lines().count(), 2, "{said}");
            assert!(said.contains("\nhint: "), "{said}");
            assert_eq!(output.status.code(), Some(2));
            let answer = String::from_utf8(output.stdout).unwrap();
            let shown = match format {
                "text" => "\nverdict: the call that was to fail was not made\n",
                _ => "\"kind\": \"fault\"",
            };
            assert!(answer.contains(shown), "{answer}");
        }
    }
}

#[test]
fn what_goes_wrong_without_any_failure_counts() {
    let told = |name: &str| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringbell"))
            .args(["explore", "--faults"])
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../drivers/bin/{name}.sys")))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stderr).unwrap(), "", "{name}");
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    for (name, code, what) in [("read-null", 3, "bugcheck "), ("wait-forever", 4, "RB018 hang")] {
        let (actual, said) = told(name);
        assert_eq!(actual, Some(code), "{name}: {said}");
        assert!(said.starts_with(&format!("without any failure: {what}")), "{said}");
        assert!(said.ends_with("\nno call that can fail was made: nothing else found\n"), "{said}");
    }
    let (code, said) = told("fault-near-handled");
    assert_eq!((code, said.as_str()), (Some(0), "let 4 calls fail, one in each run: nothing found\n"));
}
