//! The published schema of `ringbell inspect --format json` against what the command writes: every field is in the schema, and
//! every field of the schema is written.

use std::collections::BTreeSet;
use std::path::Path;

use ::inspect::{FindOptions, Kernel, MemoryImage, Options, inspect};
use serde_json::Value;
use synth::{Dump, Era, World, fixtures};

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/src/inspect.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn written(world: &World) -> Value {
    let image = MemoryImage::from_bytes(world.dump(Dump::Full)).unwrap();
    let kernel = Kernel::find(&image, FindOptions::default());
    let found = inspect("synthetic", &image, &kernel, &Options::default());
    serde_json::from_str(&view::found::json(&found).unwrap()).unwrap()
}

/// Checks the part of JSON Schema that the file uses; a keyword it does not know is an error.
fn check(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("{at}: {what}: {value}"));
    for (keyword, rule) in schema.as_object().ok_or("a schema is an object")? {
        match keyword.as_str() {
            "$schema" | "$defs" | "title" | "description" => {}
            "$ref" => {
                let name =
                    rule.as_str().and_then(|it| it.strip_prefix("#/$defs/")).ok_or("a local reference")?;
                check(root, root["$defs"].get(name).ok_or_else(|| format!("no {name}"))?, value, at)?;
            }
            "const" if rule != value => return wrong("another constant"),
            "const" => {}
            "enum" if !rule.as_array().is_some_and(|all| all.contains(value)) => {
                return wrong("not in the enumeration");
            }
            "enum" => {}
            "type" => {
                let fits = match rule.as_str().unwrap_or_default() {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "integer" => value.is_i64() || value.is_u64(),
                    "boolean" => value.is_boolean(),
                    "null" => value.is_null(),
                    other => return Err(format!("{at}: unknown type {other}")),
                };
                if !fits {
                    return wrong("another type");
                }
            }
            "pattern" => {
                assert_eq!(rule, "^0x[0-9a-f]{1,16}$");
                let digits = value.as_str().and_then(|it| it.strip_prefix("0x")).unwrap_or("");
                let fits = (1..=16).contains(&digits.len())
                    && digits.bytes().all(|it| matches!(it, b'0'..=b'9' | b'a'..=b'f'));
                if !fits {
                    return wrong("no word");
                }
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(root, rule, item, &format!("{at}[{index}]"))?;
                }
            }
            "properties" => {
                for (name, rule) in rule.as_object().into_iter().flatten() {
                    if let Some(field) = value.get(name) {
                        check(root, rule, field, &format!("{at}.{name}"))?;
                    }
                }
            }
            "required" => {
                for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                    if value.get(name).is_none() {
                        return wrong(&format!("`{name}` is missing"));
                    }
                }
            }
            "additionalProperties" => {
                let known: BTreeSet<&str> = schema["properties"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.as_str())
                    .collect();
                for (name, _) in value.as_object().into_iter().flatten() {
                    if !known.contains(name.as_str()) {
                        return wrong(&format!("`{name}` is not in the schema"));
                    }
                }
            }
            "anyOf" => {
                let tries: Vec<_> =
                    rule.as_array().into_iter().flatten().map(|rule| check(root, rule, value, at)).collect();
                if !tries.iter().any(Result::is_ok) {
                    return Err(format!("{at}: fits none of {tries:?}"));
                }
            }
            other => return Err(format!("{at}: the check does not know `{other}`")),
        }
    }
    Ok(())
}

#[test]
fn clean_images_of_every_version_fit() {
    let schema = schema();
    for era in Era::ALL {
        check(&schema, &schema, &written(&World::booted(era)), "$").unwrap();
    }
}

#[test]
fn damaged_images_fit() {
    let schema = schema();
    for fixture in fixtures::ALL {
        let mut world = World::booted(Era::TwentyFourH2);
        (fixture.spoil)(&mut world);
        let value = written(&world);
        check(&schema, &schema, &value, "$").unwrap_or_else(|why| panic!("{}: {why}", fixture.name));
    }
}

#[test]
fn what_does_not_fit_is_noticed() {
    let schema = schema();
    let good = written(&World::booted(Era::Ten));
    let spoil: [fn(&mut Value); 5] = [
        |it| it["kernel"] = 5.into(),
        |it| it["objects"][0]["address"] = "ffff".into(),
        |it| it["objects"][0]["surplus"] = true.into(),
        |it| {
            it["views"][0].as_object_mut().unwrap().remove("how");
        },
        |it| it["objects"][0]["confidence"] = "absolute".into(),
    ];
    for (index, spoil) in spoil.into_iter().enumerate() {
        let mut bad = good.clone();
        spoil(&mut bad);
        assert!(check(&schema, &schema, &bad, "$").is_err(), "{index}");
    }
}
