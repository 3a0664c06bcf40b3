//! Callback objects found in an image, three ways.
//!
//! - the *list*: `ExpCallbackListHead` links every object since Windows 8.1, named or not;
//! - the *namespace*: directories lead to every object that has a name;
//! - the *carve*: the signature in memory shows what neither leads to.
//!
//! An object that was hidden from one of them stands out in the others, so their difference is a finding. Everything works
//! without symbols: the root directory is named by the debugger's data block or found above any named object, and the list's
//! head is the one node of the ring that is no object. From the public structures (`ob`, `ex` of the public PDBs) and
//! decompilations of shipped x64 kernels, as tables in [`nt`].
//!
//! Out of reach: 32-bit kernels.

mod assemble;
mod boot;
mod carve;
mod header;
mod judge;
mod kind;
mod namespace;
mod object;
mod orphan;
mod place;
mod ring;
mod shape;
mod waiters;
mod walk;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use nt::Profile;
use record::{Anomaly, Inspection, Remnant, Severity, UnloadedRange, Value, ViewResult};

pub use carve::Progress;
pub use place::Symbols;

use self::carve::Carved;
use self::kind::Kind;
use self::namespace::Namespace;
use self::object::Object;
use self::place::Places;
use self::ring::Ring;
use self::shape::Shape;
use crate::kernel::Kernel;
use crate::memory::MemoryExt as _;
use crate::memory_image::MemoryImage;

/// What the caller wants.
pub struct Options<'o> {
    /// The version whose layouts are used; otherwise that of the image's build.
    pub profile: Option<&'static Profile>,
    /// Look through all of memory, too.
    pub carve: bool,
    /// Names, where somebody has them.
    pub symbols: &'o dyn Symbols,
    /// Who wants to know how far the carve is.
    pub progress: &'o dyn Progress,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self { profile: None, carve: true, symbols: &(), progress: &() }
    }
}

/// The most registrations of all objects together that are followed.
const MAX_ALL_LISTENERS: usize = 262_144;
/// The most remnants that are told one by one.
const MAX_REMNANTS: usize = 1024;

/// Finds the callback objects of an image.
#[must_use]
pub fn inspect(source: &str, image: &MemoryImage, kernel: &Kernel<'_>, options: &Options<'_>) -> Inspection {
    Search::new(source, image, kernel, options).run()
}

struct Search<'s, 'i> {
    image: &'s MemoryImage,
    kernel: &'s Kernel<'i>,
    options: &'s Options<'s>,
    shape: Shape,
    out: Inspection,
    namespace: Option<Namespace>,
    root_how: &'static str,
    carved: Option<Carved>,
    ring: Option<Ring>,
}

impl<'s, 'i> Search<'s, 'i> {
    fn new(source: &str, image: &'s MemoryImage, kernel: &'s Kernel<'i>, options: &'s Options<'s>) -> Self {
        let build = kernel.build.as_ref().map(|build| build.number);
        let (profile, because) = match (options.profile, build.and_then(shape::profile_for)) {
            (Some(profile), _) => (profile, "it was asked for".to_owned()),
            (None, Some(profile)) => {
                (profile, format!("the image is of build {}", build.unwrap_or_default()))
            }
            (None, None) => (
                Profile::DEFAULT,
                build.map_or_else(
                    || "the image tells no build".to_owned(),
                    |build| format!("build {build} is none that is known"),
                ),
            ),
        };
        let mut partial: Vec<String> =
            kernel.notes.iter().filter(|note| note.is_partial()).map(ToString::to_string).collect();
        let mut notes: Vec<String> =
            kernel.notes.iter().filter(|note| !note.is_partial()).map(ToString::to_string).collect();
        for note in image.notes() {
            if note.is_partial() { partial.push(note.to_string()) } else { notes.push(note.to_string()) }
        }
        if options.profile.is_none() && build.and_then(shape::profile_for).is_none() {
            let names: Vec<_> = Profile::ALL.iter().map(|profile| profile.name).collect();
            notes.push(format!("`--os NAME` chooses how the image is read: {}", names.join(", ")));
        }
        if let (None, Some(build)) = (options.profile, build)
            && profile.build < build
            && profile.name == Profile::DEFAULT.name
        {
            notes.push(format!(
                "build {build} is newer than every profile; that of {} is used",
                profile.product
            ));
        }
        if let (None, Some(build)) = (options.profile, build.filter(|build| shape::VISTA.contains(build))) {
            notes.push(format!(
                "build {build} has no profile; the nearest one, that of {}, is used. Object headers of Windows Vista are older and differ: \
                 names, counts and flags may be misread",
                profile.product
            ));
        }
        if let Ok(Some(pdb)) = &kernel.pdb
            && options.symbols.global("ExpCallbackListHead").is_none()
        {
            notes.push(format!(
                "no symbols of the kernel: `{}`, GUID {}, age {}; from {}",
                pdb.name,
                pdb.guid_text(),
                pdb.age,
                pdb.url()
            ));
        }
        let modules = if kernel.modules.is_empty() {
            Value::not_found("the list of loaded modules was not found")
        } else {
            Value::Known(kernel.modules.len() as u64)
        };
        let unloaded = kernel.unloaded.as_ref().map_or_else(
            || Value::not_found("the image does not tell which modules were unloaded"),
            |unloaded| {
                let range = |module: &crate::UnloadedModule| UnloadedRange {
                    name: module.name.clone().unwrap_or_else(|missing| format!("<name {missing}>")),
                    base: module.start,
                    size: module.end.saturating_sub(module.start),
                };
                Value::Known(unloaded.iter().map(range).collect())
            },
        );
        let out = Inspection {
            schema: Inspection::SCHEMA,
            source: source.to_owned(),
            format: image.format().to_string(),
            build: build.map_or_else(|| Value::not_found("no header or text tells the build"), Value::Known),
            profile: profile.name.to_owned(),
            profile_because: because,
            bugcheck: boot::bugcheck(image),
            boot: boot::read(image, kernel.memory()),
            kernel: kernel.base.map_or_else(
                || Value::not_found("no kernel image was found"),
                |(base, _)| Value::Known(base),
            ),
            modules,
            unloaded,
            waiters: waiters::read(
                kernel.memory(),
                &Shape::of(profile),
                options.symbols.global("ExpCallbackEvent"),
            ),
            views: Vec::new(),
            objects: Vec::new(),
            findings: Vec::new(),
            remnants: Vec::new(),
            notes,
            partial,
        };
        let shape = Shape::of(profile);
        Self { image, kernel, options, shape, out, namespace: None, root_how: "", carved: None, ring: None }
    }

    fn run(mut self) -> Inspection {
        let memory = self.kernel.memory();
        if let Some((root, how)) = self.named_root() {
            self.root_how = how;
            self.namespace = Some(namespace::walk(memory, &self.shape, root));
        }
        if self.options.carve {
            self.carved = carve::carve(self.image, self.kernel, &self.shape, self.options.progress);
        }
        if self.namespace.is_none()
            && let Some(root) = self.root_above_objects()
        {
            self.root_how = "root directory found above a carved object";
            self.namespace = Some(namespace::walk(memory, &self.shape, root));
        }
        self.ring = self.find_ring();
        self.views();
        self.objects();
        self.out.objects.sort_by(|left, right| {
            let key = |object: &record::FoundObject| (object.display_name().to_lowercase(), object.address);
            key(left).cmp(&key(right))
        });
        self.out.findings.sort();
        self.out
    }

    /// Gives the root directory, where a symbol or the debugger's data block names it.
    fn named_root(&self) -> Option<(u64, &'static str)> {
        let by_symbol = self.options.symbols.global("ObpRootDirectoryObject");
        let by_block =
            self.kernel.debugger_data.map(|data| data.obp_root_directory_object).filter(|at| *at != 0);
        let tries = [
            (by_symbol, "root directory named by a symbol"),
            (by_block, "root directory named by the debugger's data block"),
        ];
        tries.into_iter().find_map(|(variable, how)| {
            let root = self.kernel.memory().u64(variable?).ok()?;
            self.kernel.memory().kernel_range().contains(root).then_some((root, how))
        })
    }

    fn root_above_objects(&self) -> Option<u64> {
        let memory = self.kernel.memory();
        let mut tried = BTreeSet::new();
        self.carved.as_ref()?.bodies.iter().find_map(|&body| {
            let info = header::Header::read(memory, body).ok()?.name_info(memory)?.ok()?;
            (info.directory != 0 && tried.insert(info.directory))
                .then(|| namespace::root_above(memory, info.directory))
                .flatten()
        })
    }

    fn find_ring(&self) -> Option<Ring> {
        let list = self.shape.list?;
        let memory = self.kernel.memory();
        if let Some(head) = self.options.symbols.global("ExpCallbackListHead")
            && ring::is_head(memory, head)
        {
            return Some(ring::from_head(memory, head, list, "head named by a symbol"));
        }
        let named = self.namespace.iter().flat_map(|namespace| namespace.callbacks.iter().map(|it| it.body));
        let carved = self.carved.iter().flat_map(|carved| carved.bodies.iter().copied());
        let seeds: Vec<u64> = named.chain(carved).collect();
        let places = Places::new(self.kernel);
        ring::recover(memory, &seeds, list, &|address| places.in_kernel(address))
    }

    /// Says what each view brought, and why it is not complete.
    fn views(&mut self) {
        let list = match (&self.ring, self.shape.list) {
            (Some(ring), _) => {
                self.out.findings.extend(ring_findings(ring));
                let cut = ring.walk.end.why(ring::MAX_OBJECTS);
                ViewResult {
                    view: "list".to_owned(),
                    objects: Value::Known(ring.bodies.len() as u64),
                    how: format!("{}, at {:#x}", ring.how, ring.head),
                    cut,
                }
            }
            (None, None) => ViewResult {
                view: "list".to_owned(),
                objects: Value::not_applicable("this version keeps no list of all objects"),
                how: String::new(),
                cut: None,
            },
            (None, Some(_)) => ViewResult {
                view: "list".to_owned(),
                objects: Value::not_found("no object leads to a list with its head in the kernel"),
                how: String::new(),
                cut: None,
            },
        };
        let namespace = match &self.namespace {
            Some(namespace) => {
                self.out.findings.extend(namespace.faults.iter().cloned());
                ViewResult {
                    view: "namespace".to_owned(),
                    objects: Value::Known(namespace.callbacks.len() as u64),
                    how: self.root_how.to_owned(),
                    cut: namespace.cut.clone(),
                }
            }
            None => ViewResult {
                view: "namespace".to_owned(),
                objects: Value::not_found("the root directory was not found"),
                how: String::new(),
                cut: None,
            },
        };
        let carve = match &self.carved {
            Some(carved) => ViewResult {
                view: "carve".to_owned(),
                objects: Value::Known(carved.bodies.len() as u64),
                how: "signature at multiples of 16, in pages that the kernel maps".to_owned(),
                cut: carved.cut.clone(),
            },
            None => ViewResult {
                view: "carve".to_owned(),
                objects: if self.options.carve {
                    Value::not_found("there is no memory to look through")
                } else {
                    Value::not_applicable("it was not asked for")
                },
                how: String::new(),
                cut: None,
            },
        };
        for view in [list, namespace, carve] {
            if let Some(why) = &view.cut {
                self.out.partial.push(format!("{}: {why}", view.view));
            } else if let Value::Absent { absent: record::Because::NotFound, why } = &view.objects {
                self.out.partial.push(format!("{}: {why}", view.view));
            }
            self.out.views.push(view);
        }
        if let Some(carved) = &self.carved {
            let (alike, unmapped) = (carved.look_alikes, carved.unmapped);
            if alike + unmapped > 0 {
                self.out.notes.push(format!(
                    "the signature's bytes occur at {} more places that are no objects, {unmapped} of them in pages that the kernel does not map",
                    alike + unmapped
                ));
            }
            for header in &carved.headless {
                self.out.partial.push(format!(
                    "the pool header at {header:#x} is that of a registration, which is not in the image"
                ));
            }
        }
    }

    /// Reads, judges and describes every object that some view shows.
    fn objects(&mut self) {
        let memory = self.kernel.memory();
        let on_list: BTreeSet<u64> = self.ring.iter().flat_map(|ring| ring.bodies.iter().copied()).collect();
        let carved: BTreeSet<u64> =
            self.carved.iter().flat_map(|carved| carved.bodies.iter().copied()).collect();
        let mut paths: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for named in self.namespace.iter().flat_map(|namespace| &namespace.callbacks) {
            paths.entry(named.body).or_default().push(named.path.clone());
        }
        let bodies: BTreeSet<u64> = on_list.iter().chain(&carved).chain(paths.keys()).copied().collect();
        let mut left = MAX_ALL_LISTENERS;
        let mut objects = Vec::new();
        let mut history = 0_u64;
        for body in bodies {
            let object = Object::read(memory, &self.shape, body, left);
            left = left.saturating_sub(object.walk.nodes.len());
            let reached = on_list.contains(&body) || paths.contains_key(&body);
            if !reached && let Some(why) = self.not_alive(&object) {
                history += 1;
                if self.out.remnants.len() < MAX_REMNANTS {
                    let former_name = object.leaf().map_or_else(
                        || Value::not_found("no name can be read"),
                        |leaf| Value::Known(leaf.to_owned()),
                    );
                    self.out.remnants.push(Remnant { address: body, former_name, why: why.to_owned() });
                }
                continue;
            }
            objects.push(object);
        }
        if let Some(ViewResult { objects: Value::Known(count), .. }) =
            self.out.views.iter_mut().find(|view| view.view == "carve")
        {
            // What is history was carved, but is no object.
            *count = count.saturating_sub(history);
        }
        if let Some(counted) = self.namespace.as_ref().and_then(|namespace| namespace.counted)
            && counted as usize != objects.len()
        {
            self.out.notes.push(format!(
                "the kernel counts {counted} objects of the type Callback, {} were found",
                objects.len()
            ));
        }
        if let Some(carved) = &self.carved {
            let places = Places::new(self.kernel);
            orphan::tell(&mut self.out, memory, &carved.registrations, &objects, &places);
        }
        assemble::assemble(
            &mut self.out,
            &assemble::Known {
                kernel: self.kernel,
                shape: &self.shape,
                symbols: self.options.symbols,
                namespace: self.namespace.as_ref(),
                ring: self.ring.as_ref(),
                on_list: &on_list,
                carved: &carved,
                paths: &paths,
            },
            &objects,
        );
    }

    /// Tells why something that only the carve shows counts as history.
    fn not_alive(&self, object: &Object) -> Option<&'static str> {
        if let Some(why) = object.freed() {
            return Some(why);
        }
        // Bytes that look like an object and its header, but stand in no block of an object.
        matches!(object.pool, Ok(object::Pool::Other { .. }))
            .then_some("it stands in no pool block of an object")
    }
}

/// What is wrong with the list itself.
fn ring_findings(ring: &Ring) -> Vec<Anomaly> {
    let mut found = Vec::new();
    for one_way in &ring.walk.one_way {
        found.push(words::anomaly(
            Kind::LinksDisagree,
            Severity::Warning,
            format!(
                "the global list is not linked both ways: {:#x} names {:#x} as its next, which names {:#x} as its previous",
                one_way.from, one_way.to, one_way.back
            ),
            Some(one_way.from),
        ));
    }
    if ring.walk.end.is_broken()
        && let Some(why) = ring.walk.end.why(ring::MAX_OBJECTS)
    {
        found.push(words::anomaly(
            Kind::ListBroken,
            Severity::Warning,
            format!("the global list is broken: {why}"),
            Some(ring.head),
        ));
    }
    for node in &ring.strangers {
        found.push(words::anomaly(
            Kind::NodeWithoutSignature,
            Severity::Warning,
            format!("the global list has an entry at {node:#x} that is no callback object"),
            Some(*node),
        ));
    }
    found
}
