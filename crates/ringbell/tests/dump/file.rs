//! The file that a dump is written to: what it replaces, what it leaves alone, and its form.

use super::*;

#[test]
fn a_kernel_process_that_was_killed_leaves_the_dump_that_was_there() {
    let (path, report) = played("listener.sys", "kept-left.dmp");
    assert_eq!(report.unwrap().dump.as_deref(), path.to_str());
    let before = std::fs::read(&path).unwrap();
    let endless = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin/endless-loop.sys");
    let child = std::process::Command::new(env!("CARGO_BIN_EXE_ringbell"))
        .arg("run")
        .arg(endless)
        .args(["--timeout", "600s", "--dump"])
        .arg(&path)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The kernel process is the command's only child; it is killed while the driver loops.
    let kernel = loop {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        let Some(kernel) = children.split_whitespace().next().map(str::to_owned) else {
            std::thread::sleep(std::time::Duration::from_millis(5));
            continue;
        };
        let name = std::fs::read_to_string(format!("/proc/{kernel}/cmdline")).unwrap_or_default();
        if name.starts_with("ringbell-kernel")
            && std::fs::read_to_string(format!("/proc/{kernel}/maps"))
                .unwrap_or_default()
                .contains("1020010000-")
        {
            break kernel;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(std::process::Command::new("kill").args(["-KILL", &kernel]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("because the kernel process is gone, and memory with it\nhint: the file that is there is older than this run\n"), "{said}");
    assert!(said.contains("ended from outside, by signal 9"), "{said}");
    assert!(std::fs::read(&path).unwrap() == before);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn only_a_dump_is_replaced_by_a_dump() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("driver-left.dmp");
    std::fs::write(&path, image("listener.sys")).unwrap();
    let (_, stopped) = played("listener.sys", "driver-left.dmp");
    let said = stopped.unwrap_err().to_string();
    assert!(said.contains("it is there already, and no crash dump"), "{said}");
    assert_eq!(std::fs::read(&path).unwrap(), image("listener.sys"));
    assert!(!leftovers(&path));
    std::fs::remove_file(path).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_device_is_written_to_and_stays_one() {
    use std::os::unix::fs::FileTypeExt as _;
    let play = ringbell::Play {
        drivers: vec![("listener.sys".into(), image("listener.sys"))],
        dump: Some("/dev/full".into()),
        ..ringbell::Play::default()
    };
    let stopped = play.run().unwrap_err();
    assert!(stopped.to_string().starts_with("cannot write the dump: "), "{stopped}");
    assert!(std::fs::metadata("/dev/full").unwrap().file_type().is_char_device());
}

#[test]
fn a_run_writes_the_form_of_dump_that_it_is_asked_for() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("dump-forms");
    std::fs::create_dir_all(&folder).unwrap();
    let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../drivers/bin/listener.sys");
    let run = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_ringbell"))
            .current_dir(&folder)
            .arg("run")
            .args(arguments)
            .output()
            .unwrap()
    };
    let text = format!("dump = 'key.dmp'\ndump-form = 'bitmap'\n[[step]]\nload = '{}'\n", driver.display());
    std::fs::write(folder.join("form.toml"), text).unwrap();
    let driver = driver.to_str().unwrap();
    for (arguments, file, form) in [
        (&[driver, "--dump", "full.dmp"][..], "full.dmp", 1),
        (&[driver, "--dump", "bits.dmp", "--dump-form", "bitmap"], "bits.dmp", 5),
        (&["form.toml"], "key.dmp", 5),
    ] {
        let done = run(arguments);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let dump = std::fs::read(folder.join(file)).unwrap();
        assert_eq!(dump[0xF98], form, "{file}");
        assert_eq!(dump.len().to_le_bytes(), dump[0xFA0..0xFA8], "{file}");
    }
    let done = run(&[driver, "--dump-form", "bitmap"]);
    assert_eq!(done.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&done.stderr).contains("no dump to have the form"));
}
