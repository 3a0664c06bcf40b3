//! What does not belong, in neutral words, with the harmless explanations that there are.

use nt::catalog::Entry;
use record::{Anomaly, Severity};

use super::object::{MAX_LISTENERS, Object, Pool, Registration};
use super::place::Places;
use super::shape::is_watched;
use super::words::anomaly;

/// What the views say about an object.
pub(crate) struct Standing {
    /// On the global list; `None` where that cannot be told.
    pub(crate) listed: Option<bool>,
    /// In the directory that it names; `None` where that cannot be told, or where it names none.
    pub(crate) in_directory: Option<bool>,
    /// Whether the header's type is that of callback objects; `None` where that cannot be told.
    pub(crate) type_fits: Option<bool>,
    /// A view other than the carve leads to it.
    pub(crate) reached: bool,
    pub(crate) path: String,
}

/// Judges an object, without its listeners.
pub(crate) fn object(object: &Object, standing: &Standing) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let mut add = |kind: &str, severity, message: String, benign: &str, at| {
        found.push(anomaly(kind, severity, message, benign, Some(at)));
    };
    let warning = Severity::Warning;
    let body = object.body;
    if object.signature.is_ok() && !object.has_signature() {
        add(
            "signature-missing",
            warning,
            "the object does not begin with its signature".to_owned(),
            "torn acquisition",
            body,
        );
    }
    if standing.listed == Some(false) {
        add(
            "not-on-list",
            warning,
            "the object is alive but not on the global list".to_owned(),
            "caught while it was created or deleted",
            body,
        );
    }
    if standing.type_fits == Some(false) {
        add(
            "type-index-differs",
            warning,
            "the header's type index is not that of callback objects".to_owned(),
            "",
            body,
        );
    }
    let registered = object.registrations.len() + object.missing.len();
    if let Ok(header) = &object.header {
        if header.has_name() && object.name.as_ref().is_some_and(Result::is_ok) && header.descriptor == 0 {
            add(
                "no-security",
                warning,
                "the object has a name but no security descriptor".to_owned(),
                "",
                body,
            );
        }
        if header.is_permanent()
            && header.has_name()
            && matches!(&object.name, Some(Ok(info)) if info.directory == 0)
        {
            add(
                "name-removed",
                warning,
                "the object is permanent and has a name, but is in no directory".to_owned(),
                "made temporary while a handle was open",
                body,
            );
        }
        let least = i64::from(object.directory().is_some()) + registered as i64;
        if header.pointer_count < least && object.walk.one_way.is_empty() && !object.walk.end.is_broken() {
            add(
                "too-few-references",
                warning,
                format!(
                    "the reference count is {}, but name and registrations hold {least}",
                    header.pointer_count
                ),
                "",
                header.at,
            );
        }
        if !header.fits() && header.pointer_count > 0 {
            add(
                "header-does-not-fit",
                warning,
                format!(
                    "the header is none that callback objects have (flags {:#x}, info mask {:#x})",
                    header.flags, header.info_mask
                ),
                "caught while it was created",
                header.at,
            );
        }
    }
    if standing.in_directory == Some(false) {
        add(
            "not-in-its-directory",
            warning,
            format!("the object says it is {}, but that directory does not list it", standing.path),
            "torn acquisition",
            body,
        );
    }
    match object.pool {
        Ok(Pool::Free { block }) if standing.reached => add(
            "freed-but-linked",
            warning,
            "the object's pool block is free, yet a list or directory still leads to it".to_owned(),
            "caught while it was deleted",
            block,
        ),
        Ok(Pool::Other { block, .. }) => add(
            "pool-does-not-fit",
            Severity::Note,
            "the object does not lie in a pool block of its kind".to_owned(),
            "special pool, or the driver verifier",
            block,
        ),
        _ => {}
    }
    if object.multiple == Ok(0) && registered > 1 {
        add(
            "single-with-many",
            warning,
            format!("the object takes one routine but has {registered}"),
            "",
            body,
        );
    }
    if object.lock.is_ok_and(|lock| lock & 1 != 0) {
        add(
            "lock-held",
            warning,
            "the object's lock is held".to_owned(),
            "a notify at DISPATCH_LEVEL in progress, or a crash inside a routine",
            body,
        );
    }
    for one_way in &object.walk.one_way {
        add(
            "links-disagree",
            warning,
            format!(
                "the list of registrations is not linked both ways: {:#x} names {:#x} as its next, which names {:#x} as its previous",
                one_way.from, one_way.to, one_way.back
            ),
            "torn acquisition",
            one_way.from,
        );
    }
    if object.walk.end.is_broken()
        && let Some(why) = object.walk.end.why(MAX_LISTENERS)
    {
        add(
            "list-broken",
            warning,
            format!("the list of registrations is broken: {why}"),
            "torn acquisition",
            body,
        );
    }
    found
}

/// Judges one registration.
pub(crate) fn listener(owner: u64, registration: &Registration, places: &mut Places<'_, '_>) -> Vec<Anomaly> {
    let mut found = places.judge(registration.routine);
    let mut add = |kind: &str, severity, message: String, benign: &str| {
        found.push(anomaly(kind, severity, message, benign, Some(registration.at)));
    };
    if registration.object != owner {
        add(
            "listener-of-another",
            Severity::Warning,
            format!(
                "the registration belongs to the object {:#x}, not to the one that lists it",
                registration.object
            ),
            "torn acquisition",
        );
    }
    if registration.waiting > 1 {
        add(
            "registration-does-not-fit",
            Severity::Warning,
            format!("UnregisterWaiting is {:#x}, which no kernel writes", registration.waiting),
            "torn acquisition",
        );
    } else if registration.waiting == 1 {
        add(
            "unregister-waits",
            Severity::Warning,
            "somebody waits to unregister the routine".to_owned(),
            "caught while a notify was in progress",
        );
    }
    if registration.busy != 0 {
        let severity = if registration.busy > 0xFFFF { Severity::Warning } else { Severity::Note };
        add(
            "routine-busy",
            severity,
            format!("{} calls of the routine are in progress", registration.busy),
            "caught while a notify was in progress",
        );
    }
    found
}

/// Judges the order of the routines and who they are, against the catalog. Notes only: drivers may come and go.
pub(crate) fn against_catalog(entry: &Entry, modules: &[Option<&str>]) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let kernel_first = entry.boot_listeners().any(|listener| listener.routine.starts_with("nt!"));
    let first = modules.first().copied().flatten();
    if kernel_first && modules.contains(&Some("nt")) && first.is_some_and(|first| first != "nt") {
        found.push(anomaly(
            "listeners-reordered",
            Severity::Note,
            format!(
                "`{}` stands before the kernel's own routine, which is registered before drivers load; routines are only ever appended",
                first.unwrap_or_default()
            ),
            "the kernel's routine was registered again",
            None,
        ));
    }
    let closed = !entry.listeners.is_empty() && entry.listeners.iter().all(|it| it.routine.contains('!'));
    if is_watched(entry) && closed {
        let stem = |name: &str| name.split_once('.').map_or(name, |(stem, _)| stem).to_ascii_lowercase();
        let known = |module: &str| {
            entry
                .listeners
                .iter()
                .filter_map(|listener| listener.routine.split_once('!'))
                .any(|(owner, _)| stem(owner) == stem(module))
        };
        for module in modules.iter().copied().flatten().filter(|module| !known(module)) {
            found.push(anomaly(
                "listener-not-in-catalog",
                Severity::Note,
                format!("`{module}` listens; the catalog knows no routine of it on this object"),
                "a security product, or a version that the catalog does not know",
                None,
            ));
        }
    }
    found
}
