//! `ringbell inspect`: callback objects in a memory image.

use std::path::{Path, PathBuf};

use ::inspect::{FindOptions, Kernel, KernelRange, MemoryImage, Options, SymbolFiles, SymbolPath, inspect};
use clap::{Args, ValueEnum};
use record::Inspection;

use super::Failure;
use super::file;
use super::options;
use super::output::{Answer, Verdict, say};
use super::progress::Bar;

/// Arguments of `ringbell inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "Three views are compared: the kernel's own list, the object directories, and a search of all memory. An \
                        object that one shows and another should show too is a finding. Absent values say why.\n\n\
                        exit codes: 0 nothing that does not belong; 1 findings or a partial result; 2 the image was refused"
)]
pub(super) struct Arguments {
    /// Memory image: a Windows crash dump, raw memory, a QEMU or libvirt ELF core, a VMware `.vmem`
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    #[command(flatten)]
    reading: Reading,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// How an image is read; `diff` takes the same.
#[derive(Clone, Debug, Args)]
pub(super) struct Reading {
    /// Windows version whose layouts are used [default: that of the image's build]
    #[arg(long, value_name = "PROFILE")]
    os: Option<String>,
    /// Folder with program databases, before those of `_NT_SYMBOL_PATH`; nothing is downloaded
    #[arg(long, value_name = "DIR")]
    symbols: Vec<PathBuf>,
    /// Leave out the search of all memory: answers at once, and sees no hidden objects
    #[arg(long)]
    no_carve: bool,
    /// Physical address of the page-table root, where it is not found
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    cr3: Option<u64>,
    /// Addresses that belong to the kernel [default: the upper half, or the image's own]
    #[arg(long, value_name = "FIRST-LAST", value_parser = range)]
    kernel_range: Option<KernelRange>,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    // The debugger's dialect. No documentation comments here: clap would make a list of them in every help text.
    #[default]
    Text,
    // A line for each object and listener.
    Table,
    // One document.
    Json,
    // One document per line.
    Jsonl,
    // One row per listener.
    Csv,
}

/// Reads an address: hexadecimal, with or without `0x` and a debugger's grave accent.
fn address(text: &str) -> Result<u64, String> {
    let digits: String = text.trim().trim_start_matches("0x").chars().filter(|it| *it != '`').collect();
    u64::from_str_radix(&digits, 16).map_err(|_| format!("`{text}` is no hexadecimal address"))
}

fn range(text: &str) -> Result<KernelRange, String> {
    let (first, last) = text.split_once('-').ok_or_else(|| {
        format!("`{text}` is no range; ranges look like `0xffff800000000000-0xffffffffffffffff`")
    })?;
    let (first, last) = (address(first)?, address(last)?);
    if first > last {
        return Err(format!("`{text}` ends before it begins"));
    }
    Ok(KernelRange { first, last })
}

pub(super) fn run(arguments: &Arguments) -> Result<Answer, Failure> {
    let found = look(&arguments.image, &arguments.reading)?;
    let unwritten =
        |error: serde_json::Error| Failure::new(format!("the answer could not be written as JSON: {error}"));
    let text = match arguments.format {
        Format::Text => view::found::windbg(&found),
        Format::Table => view::found::table(&found),
        Format::Json => view::found::json(&found).map_err(unwritten)?,
        Format::Jsonl => view::found::lines(&found).map_err(unwritten)?,
        Format::Csv => view::found::csv(&found),
    };
    if arguments.format == Format::Csv {
        // The rows have no place for what belongs to no object.
        for why in &found.partial {
            say(&format!("partial: {}", super::failure::printable(why)));
        }
        say(&view::found::verdict(&found));
    }
    Ok(Answer { text, verdict: verdict(&found) })
}

/// Decides the exit code of one inspection.
pub(super) fn verdict(found: &Inspection) -> Verdict {
    if found.weighty() > 0 || !found.partial.is_empty() { Verdict::Findings } else { Verdict::Clean }
}

/// Opens an image and looks into it.
pub(super) fn look(path: &Path, reading: &Reading) -> Result<Inspection, Failure> {
    let profile = reading.os.as_deref().map(|name| options::profile(Some(name))).transpose()?;
    let shown = file::shown(path);
    if path.is_dir() {
        return Err(Failure::new(format!("`{shown}` is a folder")).hint("give the image inside"));
    }
    if !path.exists() {
        return Err(Failure::new(format!("`{shown}` does not exist")).hint("check the path"));
    }
    let image = MemoryImage::open(path).map_err(|error| {
        let failure = Failure::new(format!("`{shown}`: {error}"));
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })?;
    let kernel = Kernel::find(&image, FindOptions { cr3: reading.cr3, kernel_range: reading.kernel_range });
    let name = path.file_name().map_or_else(|| shown.clone(), |name| name.to_string_lossy().into_owned());
    let symbols = load_symbols(&kernel, &reading.symbols)?;
    let bar = Bar::new("searching memory");
    let found = inspect(
        &name,
        &image,
        &kernel,
        &Options { profile, carve: !reading.no_carve, symbols: &symbols, progress: &bar },
    );
    bar.end();
    Ok(found)
}

/// Loads the program databases that this computer has. Where somebody expects the kernel's and it is not there, says what to
/// fetch.
fn load_symbols(kernel: &Kernel<'_>, folders: &[PathBuf]) -> Result<SymbolFiles, Failure> {
    let mut path = SymbolPath::from_environment();
    for folder in folders.iter().rev() {
        if !folder.is_dir() {
            return Err(Failure::new(format!("`{}` is no folder", file::shown(folder)))
                .hint("give the folder that holds the program databases"));
        }
        path.prepend(folder.clone());
    }
    let (symbols, missing) = SymbolFiles::load(kernel, &path);
    if let Some(missing) = missing.filter(|_| !path.folders().is_empty()) {
        say(&super::failure::printable(&format!("{missing}; {}", missing.hint())));
    }
    Ok(symbols)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        assert_eq!(address("0x1ad000"), Ok(0x1A_D000));
        assert_eq!(address("fffff802`59000000"), Ok(0xFFFF_F802_5900_0000));
        assert!(address("").is_err());
        assert!(address("cr3").is_err());
        assert_eq!(range("0x10-20"), Ok(KernelRange { first: 0x10, last: 0x20 }));
        assert!(range("20-10").unwrap_err().contains("ends before"));
        assert!(range("20").unwrap_err().contains("no range"));
    }
}
