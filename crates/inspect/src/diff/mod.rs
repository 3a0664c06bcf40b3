//! Two images compared: which objects and listeners came, went, or were exchanged.
//!
//! Load addresses differ from boot to boot, so objects are matched by name, objects without one by the port that rings them or by
//! who listens, and listeners by `module+offset`. Only where both images are of one boot, or look so and do not tell, are addresses compared, too: then an
//! object elsewhere under the same name is another object. Where a module was updated in between, its routines are matched by module.

mod boots;
mod listeners;

use std::collections::{BTreeMap, BTreeSet};

use record::{Boots, Change, Difference, FoundObject, Inspection, ObjectChange, Value};

use listeners::{Keys, all, compare};

/// Compares two images.
#[must_use]
pub fn diff(before: &Inspection, after: &Inspection) -> Difference {
    let same_build = before.build == after.build;
    let (boots, boots_because) = boots::compare(before, after);
    let alike = || boots == Boots::Unknown && look_like_one_boot(before, after);
    let keys = Keys { same_build, same_boot: boots == Boots::Same || alike() };
    let mut out = Difference {
        schema: Difference::SCHEMA,
        before: before.source.clone(),
        after: after.source.clone(),
        boots,
        boots_because,
        same_boot: keys.same_boot,
        objects: (before.objects.len() as u64, after.objects.len() as u64),
        unchanged: 0,
        changes: Vec::new(),
        notes: notes(before, after),
        partial: Vec::new(),
    };
    for (image, which) in [(before, "first"), (after, "second")] {
        out.partial.extend(image.partial.iter().map(|why| format!("the {which} image is partial: {why}")));
    }
    // Every kernel has callback objects: an image in which none could be read says nothing about those of the other.
    let blind = |image: &Inspection| image.objects.is_empty() && !image.partial.is_empty();
    if blind(before) || blind(after) {
        return out;
    }
    for (left, right) in pairs(before, after, keys) {
        match (left, right) {
            (Some(left), Some(right)) => match changed(left, right, keys) {
                Some(change) => out.changes.push(change),
                None => out.unchanged += 1,
            },
            (Some(left), None) => out.changes.push(alone(left, Change::Removed)),
            (None, Some(right)) => out.changes.push(alone(right, Change::Added)),
            (None, None) => {}
        }
    }
    out.changes
        .sort_by_cached_key(|it| (it.name.to_lowercase(), it.change, it.address_before, it.address_after));
    out
}

/// Tells whether two images look like one boot: the kernel lies at one place, and at least half of the objects that both name do.
fn look_like_one_boot(before: &Inspection, after: &Inspection) -> bool {
    let (Some(left), Some(right)) = (before.kernel.known(), after.kernel.known()) else { return false };
    if left != right || before.build != after.build {
        return false;
    }
    let places = |image: &Inspection| -> BTreeMap<String, u64> {
        let named = image.objects.iter().filter_map(|it| Some((it.name.known()?.to_lowercase(), it.address)));
        named.collect()
    };
    let (left, right) = (places(before), places(after));
    let common: Vec<_> = left.iter().filter_map(|(name, at)| Some((at, right.get(name)?))).collect();
    let kept = common.iter().filter(|(left, right)| left == right).count();
    !common.is_empty() && kept * 2 >= common.len()
}

fn notes(before: &Inspection, after: &Inspection) -> Vec<String> {
    let mut notes = Vec::new();
    match (&before.build, &after.build) {
        (Value::Known(left), Value::Known(right)) if left != right => notes.push(format!(
            "the kernels are of different builds, {left} and {right}: routines of one module are matched by module, not by offset"
        )),
        _ => {}
    }
    for (left, right) in before.views.iter().zip(&after.views) {
        if left.objects.known().is_some() != right.objects.known().is_some() {
            notes.push(format!("only one image has the view `{}`", left.view));
        }
    }
    notes
}

/// What an object is matched by, most telling first.
fn identity(object: &FoundObject, pass: usize) -> Option<String> {
    match pass {
        0 => object.name.known().map(|name| format!("name {}", name.to_lowercase())),
        1 => object.former_name.as_ref().map(|name| format!("was {}", name.to_lowercase())),
        2 if object.name.known().is_none() && object.former_name.is_none() => {
            object.attribution.known().map(|port| format!("port {}", port.to_lowercase()))
        }
        _ => None,
    }
}

type Pair<'a> = (Option<&'a FoundObject>, Option<&'a FoundObject>);

/// Pairs the objects of two images; what has no counterpart stands alone.
fn pairs<'a>(before: &'a Inspection, after: &'a Inspection, keys: Keys) -> Vec<Pair<'a>> {
    let mut left: Vec<&FoundObject> = before.objects.iter().collect();
    let mut right: Vec<&FoundObject> = after.objects.iter().collect();
    let mut pairs = Vec::new();
    if keys.same_boot {
        // The same place under the same name is the same object, whatever else has that name.
        take(&mut left, &mut right, &mut pairs, |it| {
            Some(format!("{:#x} {}", it.address, it.display_name().to_lowercase()))
        });
    }
    for pass in 0..3 {
        // Several objects may have one name: first those with the same listeners.
        take(&mut left, &mut right, &mut pairs, |it| Some(identity(it, pass)? + &keys.of_all(it)));
        take(&mut left, &mut right, &mut pairs, |it| identity(it, pass));
    }
    // Nothing but the listeners tells the rest.
    let nameless = |it: &FoundObject| (0..3).all(|pass| identity(it, pass).is_none());
    take(&mut left, &mut right, &mut pairs, |it| nameless(it).then(|| keys.of_all(it)));
    take(&mut left, &mut right, &mut pairs, |it| {
        (nameless(it) && !it.listeners.is_empty()).then(|| keys.modules_of(it))
    });
    pairs.extend(left.into_iter().map(|it| (Some(it), None)));
    pairs.extend(right.into_iter().map(|it| (None, Some(it))));
    pairs
}

/// Pairs what has the same key, in order, and takes it off both lists.
fn take<'a>(
    left: &mut Vec<&'a FoundObject>,
    right: &mut Vec<&'a FoundObject>,
    pairs: &mut Vec<Pair<'a>>,
    key: impl Fn(&FoundObject) -> Option<String>,
) {
    let mut waiting: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, object) in right.iter().enumerate().rev() {
        if let Some(key) = key(object) {
            waiting.entry(key).or_default().push(index);
        }
    }
    let mut taken = BTreeSet::new();
    left.retain(|object| {
        let Some(index) = key(object).and_then(|key| waiting.get_mut(&key)?.pop()) else { return true };
        pairs.push((Some(object), Some(right[index])));
        taken.insert(index);
        false
    });
    let mut index = 0;
    right.retain(|_| {
        index += 1;
        !taken.contains(&(index - 1))
    });
}

fn alone(object: &FoundObject, change: Change) -> ObjectChange {
    let there = |wanted| (change == wanted).then_some(object.address);
    ObjectChange {
        change,
        name: object.display_name(),
        address_before: there(Change::Removed),
        address_after: there(Change::Added),
        what: Vec::new(),
        listeners: all(object, change),
    }
}

/// Compares an object with its counterpart; `None` where nothing differs.
fn changed(before: &FoundObject, after: &FoundObject, keys: Keys) -> Option<ObjectChange> {
    let mut what = Vec::new();
    let mut differs = |name: &str, left: Option<String>, right: Option<String>| {
        // What one image does not have says nothing about the other.
        if let (Some(left), Some(right)) = (left, right)
            && left != right
        {
            what.push(format!("{name} was {left}, is {right}"));
        }
    };
    let yes = |value: &Value<bool>| value.get().map(|it| if it { "yes" } else { "no" }.to_owned());
    differs("permanent", yes(&before.permanent), yes(&after.permanent));
    differs("takes several routines", yes(&before.allow_multiple), yes(&after.allow_multiple));
    let listed = |object: &FoundObject| {
        object.linkage.known()?;
        Some(if object.evidence.list { "yes" } else { "no" }.to_owned())
    };
    differs("on the global list", listed(before), listed(after));
    let named = |object: &FoundObject| Some(object.display_name()).filter(|_| object.header != 0);
    if before.name.known().map(|it| it.to_lowercase()) != after.name.known().map(|it| it.to_lowercase()) {
        differs("the name", named(before), named(after));
    }
    let moved = keys.same_boot && before.address != after.address;
    if moved {
        what.push(
            "the object of this name lies elsewhere: another one, if both images are of one boot".to_owned(),
        );
    }
    let listeners = compare(before, after, keys);
    if what.is_empty() && listeners.is_empty() {
        return None;
    }
    Some(ObjectChange {
        change: if moved { Change::Replaced } else { Change::Changed },
        name: after.display_name(),
        address_before: Some(before.address),
        address_after: Some(after.address),
        what,
        listeners,
    })
}
