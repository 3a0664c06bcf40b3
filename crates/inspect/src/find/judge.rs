//! What does not belong, in neutral words, with the harmless explanations that there are.

use nt::catalog::Entry;
use record::{Anomaly, Severity};

use super::kind::Kind;
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
    let mut add = |kind, severity, message: String, at| {
        found.push(anomaly(kind, severity, message, Some(at)));
    };
    let warning = Severity::Warning;
    let body = object.body;
    if object.signature.is_ok() && !object.has_signature() {
        add(Kind::SignatureMissing, warning, "the object does not begin with its signature".to_owned(), body);
    }
    if standing.listed == Some(false) {
        add(Kind::NotOnList, warning, "the object is alive but not on the global list".to_owned(), body);
    }
    if standing.type_fits == Some(false) {
        add(
            Kind::TypeIndexDiffers,
            warning,
            "the header's type index is not that of callback objects".to_owned(),
            body,
        );
    }
    let registered = object.registrations.len() + object.missing.len();
    if let Ok(header) = &object.header {
        if header.has_name() && object.name.as_ref().is_some_and(Result::is_ok) && header.descriptor == 0 {
            add(
                Kind::NoSecurity,
                warning,
                "the object has a name but no security descriptor".to_owned(),
                body,
            );
        }
        if header.is_permanent()
            && header.has_name()
            && matches!(&object.name, Some(Ok(info)) if info.directory == 0)
        {
            add(
                Kind::NameRemoved,
                warning,
                "the object is permanent and has a name, but is in no directory".to_owned(),
                body,
            );
        }
        let least = i64::from(object.directory().is_some()) + registered as i64;
        if header.pointer_count < least && object.walk.one_way.is_empty() && !object.walk.end.is_broken() {
            add(
                Kind::TooFewReferences,
                warning,
                format!(
                    "the reference count is {}, but name and registrations hold {least}",
                    header.pointer_count
                ),
                header.at,
            );
        }
        if !header.fits() && header.pointer_count > 0 {
            add(
                Kind::HeaderDoesNotFit,
                warning,
                format!(
                    "the header is none that callback objects have (flags {:#x}, info mask {:#x})",
                    header.flags, header.info_mask
                ),
                header.at,
            );
        }
    }
    if standing.in_directory == Some(false) {
        add(
            Kind::NotInItsDirectory,
            warning,
            format!("the object says it is {}, but that directory does not list it", standing.path),
            body,
        );
    }
    match object.pool {
        Ok(Pool::Free { block }) if standing.reached => add(
            Kind::FreedButLinked,
            warning,
            "the object's pool block is free, yet a list or directory still leads to it".to_owned(),
            block,
        ),
        Ok(Pool::Other { block, .. }) => add(
            Kind::PoolDoesNotFit,
            Severity::Note,
            "the object does not lie in a pool block of its kind".to_owned(),
            block,
        ),
        _ => {}
    }
    if object.multiple == Ok(0) && registered > 1 {
        add(
            Kind::SingleWithMany,
            warning,
            format!("the object takes one routine but has {registered}"),
            body,
        );
    }
    if object.lock.is_ok_and(|lock| lock & 1 != 0) {
        add(Kind::LockHeld, warning, "the object's lock is held".to_owned(), body);
    }
    for one_way in &object.walk.one_way {
        add(
            Kind::LinksDisagree,
            warning,
            format!(
                "the list of registrations is not linked both ways: {:#x} names {:#x} as its next, which names {:#x} as its previous",
                one_way.from, one_way.to, one_way.back
            ),
            one_way.from,
        );
    }
    if object.walk.end.is_broken()
        && let Some(why) = object.walk.end.why(MAX_LISTENERS)
    {
        add(Kind::ListBroken, warning, format!("the list of registrations is broken: {why}"), body);
    }
    found
}

/// Judges one registration.
pub(crate) fn listener(owner: u64, registration: &Registration, places: &mut Places<'_, '_>) -> Vec<Anomaly> {
    let mut found = places.judge(registration.routine);
    let mut add = |kind, severity, message: String| {
        found.push(anomaly(kind, severity, message, Some(registration.at)));
    };
    if registration.object != owner {
        add(
            Kind::ListenerOfAnother,
            Severity::Warning,
            format!(
                "the registration belongs to the object {:#x}, not to the one that lists it",
                registration.object
            ),
        );
    }
    if registration.waiting > 1 {
        add(
            Kind::RegistrationDoesNotFit,
            Severity::Warning,
            format!("UnregisterWaiting is {:#x}, which no kernel writes", registration.waiting),
        );
    } else if registration.waiting == 1 {
        add(Kind::UnregisterWaits, Severity::Warning, "somebody waits to unregister the routine".to_owned());
    }
    if registration.busy != 0 {
        let severity = if registration.busy > 0xFFFF { Severity::Warning } else { Severity::Note };
        add(
            Kind::RoutineBusy,
            severity,
            format!("{} calls of the routine are in progress", registration.busy),
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
            Kind::ListenersReordered,
            Severity::Note,
            format!(
                "`{}` stands before the kernel's own routine, which is registered before drivers load; routines are only ever appended",
                first.unwrap_or_default()
            ),
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
                Kind::ListenerNotInCatalog,
                Severity::Note,
                format!("`{module}` listens; the catalog knows no routine of it on this object"),
                None,
            ));
        }
    }
    found
}
