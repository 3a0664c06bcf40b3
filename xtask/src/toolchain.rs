//! The cross compiler that builds the bundled drivers, and the one recipe it is called with.
//!
//! The same source must give the same bytes in every folder and at every time, so nothing here depends on either: sources and outputs are
//! named relative to `drivers/`, the link time is left out, and the path of the folder is mapped away.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Failure;

const GCC: &str = "x86_64-w64-mingw32-gcc";
const DLLTOOL: &str = "x86_64-w64-mingw32-dlltool";

/// Holds the versions that decide every byte of a built driver.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// The first line of `gcc --version`.
    pub gcc: String,
    /// The first line of `ld --version`.
    pub ld: String,
    /// The version of mingw-w64's headers and import libraries, `major.minor.bugfix`.
    pub mingw: String,
}

/// Stands for an installed mingw-w64 whose versions are known.
#[derive(Debug)]
pub struct Toolchain {
    versions: Versions,
    ddk: PathBuf,
}

impl Toolchain {
    /// Finds mingw-w64 on the path.
    ///
    /// # Errors
    /// When a tool is missing or does not say what it is.
    pub fn find() -> Result<Self, Failure> {
        let gcc = first_line(Command::new(GCC).arg("--version"))?;
        let ld = output(Command::new(GCC).arg("-print-prog-name=ld"))?;
        let ld = first_line(Command::new(ld.trim()).arg("--version"))?;
        let macros =
            output(Command::new(GCC).args(["-E", "-dM", "-include", "_mingw.h", "-xc", "/dev/null"]))?;
        let part = |name: &str| {
            macros
                .lines()
                .find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name)?.strip_prefix(' '))
                .map(|value| value.trim().to_owned())
                .ok_or_else(|| Failure::new(format!("the mingw-w64 headers do not define `{name}`")))
        };
        let mingw = [
            part("__MINGW64_VERSION_MAJOR")?,
            part("__MINGW64_VERSION_MINOR")?,
            part("__MINGW64_VERSION_BUGFIX")?,
        ]
        .join(".");
        Ok(Self { versions: Versions { gcc, ld, mingw }, ddk: ddk()? })
    }

    /// Returns the versions found.
    #[must_use]
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Makes the import library for the exports that mingw-w64's own one lacks.
    ///
    /// # Errors
    /// When the tool fails.
    pub fn import_library(&self, drivers: &Path, out: &Path) -> Result<(), Failure> {
        // The library's own name ends up in symbols of every driver that uses it, so it is given without a folder.
        let definition = drivers.join("include/ntoskrnl-more.def");
        let mut tool = Command::new(DLLTOOL);
        tool.current_dir(out).args(["-m", "i386:x86-64", "-l", "libntoskrnl-more.a", "-d"]).arg(definition);
        output(&mut tool).map(|_| ())
    }

    /// Builds one driver. `source` is relative to `drivers`.
    ///
    /// # Errors
    /// When the compiler is unhappy; its words are in the failure.
    pub fn build(&self, drivers: &Path, source: &Path, link: &[String], out: &Path) -> Result<(), Failure> {
        let folder = out.parent().unwrap_or(Path::new("."));
        let mut gcc = Command::new(GCC);
        gcc.current_dir(drivers)
            .env_remove("SOURCE_DATE_EPOCH")
            .args(["-std=c11", "-O2", "-ffreestanding", "-nostdlib", "-mno-stack-arg-probe", "-DDBG=1"])
            // A report names the caller of an export by its return address; a tail call would hide it.
            .arg("-fno-optimize-sibling-calls")
            // Every Windows driver writes its pool tags as multi-character constants; and gs:[188h], which is how wdm.h finds the
            // current thread, looks like a null pointer to gcc.
            .args(["-Wall", "-Wextra", "-Werror", "-Wno-multichar", "-Wno-array-bounds"])
            .arg("-isystem")
            .arg(&self.ddk)
            .arg("-Iinclude")
            .arg(format!("-ffile-prefix-map={}=.", drivers.display()))
            .args(["-Wl,--subsystem,native", "-Wl,--entry,DriverEntry", "-Wl,--no-insert-timestamp"])
            // Variables must be imported through their pointer: what ld would patch up otherwise needs a runtime that drivers do not have.
            .arg("-Wl,--disable-auto-import")
            .arg("-o")
            .arg(out)
            .arg(source)
            .args(link)
            .arg(format!("-L{}", folder.display()))
            .args(["-lntoskrnl", "-lntoskrnl-more"]);
        output(&mut gcc).map(|_| ()).map_err(|failure| {
            Failure::new(format!("`{}` does not build: {}", source.display(), failure.what))
                .hint("warnings are errors in the bundled drivers; the recipe is in `xtask/src/toolchain.rs`")
        })
    }
}

/// Finds the folder with `ntddk.h`: a subfolder of the target's ordinary headers that the compiler does not search by itself.
fn ddk() -> Result<PathBuf, Failure> {
    let words = output(Command::new(GCC).args(["-E", "-v", "-xc", "/dev/null"]).env("LC_ALL", "C"))?;
    words
        .lines()
        .filter(|line| line.starts_with(' '))
        .map(|line| Path::new(line.trim()).join("ddk"))
        .find(|folder| folder.join("ntddk.h").is_file())
        .and_then(|folder| folder.canonicalize().ok())
        .ok_or_else(|| Failure::new("mingw-w64 is installed without `ddk/ntddk.h`"))
}

fn first_line(command: &mut Command) -> Result<String, Failure> {
    Ok(output(command.env("LC_ALL", "C"))?.lines().next().unwrap_or_default().trim().to_owned())
}

/// Runs a tool and returns what it said on both streams.
fn output(command: &mut Command) -> Result<String, Failure> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(std::process::Stdio::null()).output().map_err(|error| {
        Failure::new(format!("cannot run `{name}`: {error}"))
            .hint("install mingw-w64: `apt-get install gcc-mingw-w64-x86-64` on Debian and Ubuntu")
    })?;
    let mut words = String::from_utf8_lossy(&done.stdout).into_owned();
    words.push_str(&String::from_utf8_lossy(&done.stderr));
    if done.status.success() {
        Ok(words)
    } else {
        Err(Failure::new(format!("`{name}` failed ({})\n{words}", done.status)))
    }
}
