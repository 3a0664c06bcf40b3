//! Looking into a machine made by hand.

use record::{FoundObject, Inspection};
use ringbell_inspect::{FindOptions, Kernel, MemoryImage, Options, inspect};
use synth::{Dump, StateFile, World};

/// Ways to write the machine down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Raw,
    Full,
    Bitmap,
    /// A VMware state file with the memory inside.
    State,
}

impl Form {
    pub(crate) const ALL: [Self; 4] = [Self::Raw, Self::Full, Self::Bitmap, Self::State];
}

/// Writes the machine down and looks into it.
pub(crate) fn look(world: &World, form: Form) -> Inspection {
    look_with(world, form, &Options::default())
}

pub(crate) fn look_with(world: &World, form: Form, options: &Options<'_>) -> Inspection {
    let bytes = match form {
        Form::Raw => world.raw(),
        Form::Full => world.dump(Dump::Full),
        Form::Bitmap => world.dump(Dump::Bitmap),
        Form::State => world.vmware_state(StateFile { wide: true, regions: true, compressed: false }),
    };
    let image = MemoryImage::from_bytes(bytes).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    inspect("synthetic", &image, &kernel, options)
}

/// Finds an object by its address.
pub(crate) fn at(found: &Inspection, body: u64) -> &FoundObject {
    found
        .objects
        .iter()
        .find(|object| object.address == body)
        .unwrap_or_else(|| panic!("{body:#x} was not found: {found:#?}"))
}

/// Lists what does not belong, notes included.
pub(crate) fn kinds(found: &Inspection) -> Vec<&str> {
    found.anomalies().map(|anomaly| anomaly.kind.as_str()).collect()
}
