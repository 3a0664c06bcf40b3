//! Finding an entry by whatever name people have for it.

use super::{Entry, Name, builtin, driver, kernel, unnamed};

/// Lists every entry: the built-in objects in creation order, the kernel's others, the unnamed ones, the drivers'.
pub fn entries() -> impl Iterator<Item = &'static Entry> {
    builtin::ENTRIES.iter().chain(kernel::ENTRIES).chain(unnamed::ENTRIES).chain(driver::ENTRIES)
}

/// Gives the last component of a path.
#[must_use]
pub fn leaf(path: &str) -> &str {
    path.rsplit('\\').next().unwrap_or(path)
}

/// Tells how a name given without a path is usually meant: a leaf lives in `\Callback`.
///
/// Returns `None` where `name` is a path already.
#[must_use]
pub fn full_path(name: &str) -> Option<(&'static str, &str)> {
    (!name.starts_with('\\')).then_some(("\\Callback\\", name))
}

/// Finds an entry by path, leaf, port name, kernel variable (`ExCbPowerState`) or listener (`PopUmpoMessageCallback`),
/// without regard to case. A name with its number (`LLTDCallbackMapper0006008002000000`) finds its family.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    let bare = name.strip_prefix('\\').unwrap_or(name);
    let bare = match bare.split_once('\\') {
        Some((directory, rest)) if directory.eq_ignore_ascii_case("Callback") => rest,
        Some(("", rest)) => rest,
        _ => bare,
    };
    let symbol = name.rsplit('!').next().unwrap_or(name);
    entries()
        .find(|entry| entry.key.eq_ignore_ascii_case(bare))
        .or_else(|| entries().find(|entry| numbered(entry, bare)))
        .or_else(|| entries().find(|entry| entry.variable.is_some_and(|it| it.eq_ignore_ascii_case(symbol))))
        .or_else(|| entries().find(|entry| listens(entry, symbol)))
}

fn numbered(entry: &Entry, bare: &str) -> bool {
    let Name::Numbered { prefix, .. } = entry.name else { return false };
    let prefix = leaf(prefix);
    let Some((head, digits)) = bare.split_at_checked(prefix.len()) else { return false };
    head.eq_ignore_ascii_case(prefix)
        && digits.len() == 16
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn listens(entry: &Entry, symbol: &str) -> bool {
    entry.listeners.iter().any(|listener| {
        let routine = listener.routine.rsplit('!').next().unwrap_or(listener.routine);
        routine.eq_ignore_ascii_case(symbol)
    })
}
