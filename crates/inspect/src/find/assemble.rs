//! From what was read to what is told.

use std::collections::{BTreeMap, BTreeSet};

use nt::catalog;
use record::{Confidence, Evidence, FoundListener, FoundObject, Inspection, Severity, Value};

use super::judge::{self, Standing};
use super::namespace::{Listings, Namespace, Types};
use super::object::{MAX_LISTENERS, Object};
use super::place::{Places, Symbols};
use super::ring::Ring;
use super::shape::Shape;
use super::walk::End;
use super::words;
use crate::kernel::Kernel;
use crate::memory::{Memory, MemoryExt as _};

/// What the views brought.
pub(crate) struct Known<'a, 'i> {
    pub(crate) kernel: &'a Kernel<'i>,
    pub(crate) shape: &'a Shape,
    pub(crate) symbols: &'a dyn Symbols,
    pub(crate) namespace: Option<&'a Namespace>,
    pub(crate) ring: Option<&'a Ring>,
    pub(crate) on_list: &'a BTreeSet<u64>,
    pub(crate) carved: &'a BTreeSet<u64>,
    pub(crate) paths: &'a BTreeMap<u64, Vec<String>>,
}

/// Describes all objects.
pub(crate) fn assemble(out: &mut Inspection, known: &Known<'_, '_>, objects: &[Object]) {
    let mark = type_mark(known, objects);
    let ports = ports(known);
    let mut places = Places::new(known.kernel);
    let mut listings = Listings::new(known.kernel.memory(), known.shape);
    let numbers: BTreeMap<u64, usize> =
        known.ring.iter().flat_map(|ring| ring.bodies.iter().copied().zip(1..)).collect();
    for object in objects {
        let listed = object.directory().and_then(|directory| listings.lists(directory, object.body));
        let around =
            Around { mark, ports: &ports, in_directory: listed, number: numbers.get(&object.body).copied() };
        let found = describe(known, object, &around, &mut places);
        if let Some(why) = &found.listeners_cut {
            out.partial.push(format!("{} at {:#x}: {why}", found.display_name(), found.address));
        }
        out.objects.push(found);
    }
    if !places.is_complete() {
        out.notes.push(
            "the list of loaded modules is not complete, so whose code a routine is was not judged"
                .to_owned(),
        );
    }
}

/// Finds out what the headers of callback objects carry: from the types, or by majority.
fn type_mark(known: &Known<'_, '_>, objects: &[Object]) -> Option<u8> {
    if let Some(mark) = known.namespace.and_then(|namespace| Types::mark(&namespace.types, "Callback")) {
        return Some(mark);
    }
    let mut votes: BTreeMap<u8, usize> = BTreeMap::new();
    for header in objects.iter().filter_map(|object| object.header.as_ref().ok()) {
        *votes.entry(header.type_mark(known.shape)).or_default() += 1;
    }
    let total: usize = votes.values().sum();
    votes
        .into_iter()
        .max_by_key(|(_, count)| *count)
        .filter(|(_, count)| total > 2 && count * 3 > total * 2)
        .map(|(mark, _)| mark)
}

/// Reads which callback object each ALPC port rings.
fn ports(known: &Known<'_, '_>) -> BTreeMap<u64, Vec<String>> {
    let mut ports: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for port in known.namespace.iter().flat_map(|namespace| &namespace.ports) {
        if let Ok(object) = known.kernel.memory().u64(port.body.wrapping_add(known.shape.port_callback))
            && object != 0
        {
            ports.entry(object).or_default().push(port.path.clone());
        }
    }
    ports
}

/// What is known around one object.
struct Around<'a> {
    /// What the headers of callback objects carry.
    mark: Option<u8>,
    /// Ports by the callback object that they ring.
    ports: &'a BTreeMap<u64, Vec<String>>,
    /// Whether the directory that it names lists it.
    in_directory: Option<bool>,
    /// Its place on the global list, from 1.
    number: Option<usize>,
}

fn describe(
    known: &Known<'_, '_>,
    object: &Object,
    around: &Around<'_>,
    places: &mut Places<'_, '_>,
) -> FoundObject {
    let body = object.body;
    let evidence = Evidence {
        list: known.on_list.contains(&body),
        namespace: known.paths.contains_key(&body),
        carve: known.carved.contains(&body),
    };
    let (name, former_name) = name(known, object);
    let listeners: Vec<FoundListener> = object
        .registrations
        .iter()
        .map(|registration| FoundListener {
            registration: registration.at,
            routine: Value::Known(registration.routine),
            place: places.locate(registration.routine),
            symbol: known
                .symbols
                .routine(registration.routine)
                .or_else(|| places.export(registration.routine))
                .map_or_else(|| Value::not_found("no symbols"), Value::Known),
            context: Value::Known(registration.context),
            busy: Value::Known(registration.busy),
            waiting: Value::Known(registration.waiting != 0),
            anomalies: judge::listener(body, registration, places),
        })
        .collect();
    let entry = match (&name, &former_name) {
        (Value::Known(path), _) => catalog::find(path),
        (_, Some(leaf)) => catalog::find(leaf),
        _ => None,
    };
    let attribution = match around.ports.get(&body) {
        Some(paths) => Value::Known(paths.join(", ")),
        None if name.known().is_some() || former_name.is_some() => {
            Value::not_applicable("the object has a name")
        }
        None => by_listener(&listeners),
    };
    let entry = entry.or_else(|| attribution.known().and_then(|port| catalog::find(port)));
    let standing = standing(known, object, around, evidence, &name);
    let mut anomalies = judge::object(object, &standing);
    if let Some(entry) = entry {
        let modules: Vec<Option<&str>> = listeners
            .iter()
            .map(|listener| {
                listener.place.known().and_then(|place| place.split_once('+')).map(|(module, _)| module)
            })
            .collect();
        anomalies.extend(judge::against_catalog(entry, &modules));
    }
    anomalies.sort();
    anomalies.dedup();
    let header = object.header;
    let fits = header.as_ref().is_ok_and(super::header::Header::fits) && object.has_signature();
    let weighty = anomalies.iter().any(|anomaly| anomaly.severity >= Severity::Warning);
    let confidence = match (fits && !weighty, evidence.count()) {
        (true, 2..) => Confidence::Verified,
        (true, _) => Confidence::Derived,
        (false, _) => Confidence::Guessed,
    };
    let field = |read: fn(&super::header::Header) -> i64| words::value(header.map(|header| read(&header)));
    FoundObject {
        address: body,
        header: body.wrapping_sub(super::shape::BODY),
        name,
        former_name,
        attribution,
        known_as: entry.map(|entry| entry.key.to_owned()),
        permanent: words::value(header.map(|header| header.is_permanent())),
        allow_multiple: words::value(object.multiple.map(|byte| byte != 0)),
        pointer_count: field(|header| header.pointer_count),
        handle_count: field(|header| header.handle_count),
        flags: words::value(header.map(|header| header.flags)),
        info_mask: words::value(header.map(|header| header.info_mask)),
        security_descriptor: words::value(header.map(|header| header.descriptor & !0xF)),
        lock: words::value(object.lock),
        linkage: linkage(known, body, around.number),
        pool: object.pool_words(),
        listeners,
        listeners_cut: cut(object),
        evidence,
        confidence,
        anomalies,
    }
}

/// Why the list of registrations is not complete.
fn cut(object: &Object) -> Option<String> {
    if let Some(missing) = object.missing.first() {
        return Some(format!("a registration is not all there, {missing}"));
    }
    object.walk.end.why(MAX_LISTENERS)
}

fn linkage(known: &Known<'_, '_>, body: u64, number: Option<usize>) -> Value<String> {
    let Some(ring) = known.ring else {
        return if known.shape.list.is_some() {
            Value::not_found("the global list was not found")
        } else {
            Value::not_applicable("this version keeps no list of all objects")
        };
    };
    let Some(number) = number else { return Value::Known("not on the list".to_owned()) };
    let node = body.wrapping_add(known.shape.list.unwrap_or_default());
    let disagrees = ring.walk.one_way.iter().any(|pair| pair.from == node || pair.to == node);
    let how = if disagrees { "linked one way" } else { "linked both ways" };
    Value::Known(format!("number {number} of {}, {how}", ring.bodies.len()))
}

fn standing(
    known: &Known<'_, '_>,
    object: &Object,
    around: &Around<'_>,
    evidence: Evidence,
    name: &Value<String>,
) -> Standing {
    let complete = known.ring.is_some_and(|ring| ring.walk.end == End::Closed);
    let listed = if evidence.list { Some(true) } else { complete.then_some(false) };
    Standing {
        listed,
        in_directory: around.in_directory,
        type_fits: match (around.mark, &object.header) {
            (Some(mark), Ok(header)) => Some(header.type_mark(known.shape) == mark),
            _ => None,
        },
        reached: evidence.list || evidence.namespace,
        path: name.known().cloned().unwrap_or_else(|| "named".to_owned()),
    }
}

/// Gives the full path, and the stored leaf of an object that is in no directory.
fn name(known: &Known<'_, '_>, object: &Object) -> (Value<String>, Option<String>) {
    if let Some(Ok(super::header::NameInfo { name: Err(missing), .. })) = &object.name {
        return (words::value(Err(*missing)), None);
    }
    if let Some(paths) = known.paths.get(&object.body)
        && let Some(path) = paths.first()
    {
        return (Value::Known(path.clone()), None);
    }
    let info = match &object.name {
        None => {
            return match &object.header {
                Ok(_) => (Value::not_applicable("the object has no name"), None),
                Err(missing) => (words::value(Err(*missing)), None),
            };
        }
        Some(Err(missing)) => return (words::value(Err(*missing)), None),
        Some(Ok(info)) => info,
    };
    match &info.name {
        Err(missing) => (words::value(Err(*missing)), None),
        Ok(leaf) if info.directory == 0 => {
            (Value::not_applicable("the name was removed from its directory"), Some(leaf.clone()))
        }
        Ok(leaf) => (Value::Known(path(known, info.directory, leaf)), None),
    }
}

/// Puts the names of the directories before a leaf.
fn path(known: &Known<'_, '_>, directory: u64, leaf: &str) -> String {
    if let Some(path) = known.namespace.and_then(|namespace| namespace.directories.get(&directory)) {
        return if path == "\\" { format!("\\{leaf}") } else { format!("{path}\\{leaf}") };
    }
    let memory: &dyn Memory = known.kernel.memory();
    let mut path = format!("\\{leaf}");
    let mut at = directory;
    for _ in 0..64 {
        let info = super::header::Header::read(memory, at).ok().and_then(|header| header.name_info(memory));
        match info {
            Some(Ok(info)) if info.directory == 0 => return path,
            Some(Ok(info)) => {
                let name = info.name.unwrap_or_else(|_| format!("<{at:#x}>"));
                path = format!("\\{name}{path}");
                at = info.directory;
            }
            _ => return format!("<{at:#x}>{path}"),
        }
    }
    path
}

/// Attributes an object without a name by the routines that symbols name.
fn by_listener(listeners: &[FoundListener]) -> Value<String> {
    let named = listeners.iter().filter_map(|listener| listener.symbol.known());
    match named.filter_map(|symbol| catalog::find(symbol)).next() {
        Some(entry) => Value::Known(entry.key.to_owned()),
        None => Value::not_found("no port and no named routine leads to it"),
    }
}
