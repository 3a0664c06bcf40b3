//! The form of a scenario file as a JSON schema, for editors that complete and check TOML.

use serde_json::{Map, Value, json};

use super::Level;
use super::settings::{FINDING, Key, Keys, LOOK, RUN, STEP, TOP, VERBS};

/// Returns the schema. It knows the keys and the kinds of their values; names of rules, events and drivers are left to the
/// reader, which says more about them.
pub fn schema() -> Value {
    let mut top = table(TOP);
    top["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    top["title"] = json!("Ringbell scenario");
    let mut step = table(STEP);
    step["oneOf"] = VERBS.iter().map(|verb| json!({ "required": [verb] })).collect();
    let mut finding = table(FINDING);
    finding["required"] = json!(["rule"]);
    top["$defs"] = json!({ "step": step, "look": table(LOOK), "run": table(RUN), "finding": finding });
    top
}

fn table(keys: Keys) -> Value {
    let mut properties = Map::new();
    for key in keys.keys {
        let mut property = value(keys, key);
        property["description"] = json!(key.says);
        properties.insert(key.name.into(), property);
    }
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

/// Describes what a key takes.
fn value(keys: Keys, key: &Key) -> Value {
    let steps = || json!({ "type": "array", "items": { "$ref": "#/$defs/step" } });
    match (key.name, key.takes) {
        ("rules", _) => {
            let levels: Vec<&str> = Level::ALL.iter().map(|(word, _)| *word).collect();
            json!({ "type": "object", "additionalProperties": { "enum": levels } })
        }
        ("expect", _) => {
            let which = if keys.place == STEP.place { "look" } else { "run" };
            json!({ "$ref": format!("#/$defs/{which}") })
        }
        (_, "a list of rules") => {
            json!({ "type": "array", "items": { "anyOf": [{ "type": "string" }, { "$ref": "#/$defs/finding" }] } })
        }
        (_, "a list of steps") => steps(),
        (_, "a list of files") => json!({ "type": "array", "items": { "type": "string" } }),
        (_, "a list of at most two numbers") => {
            json!({ "type": "array", "items": { "type": "integer" }, "maxItems": 2 })
        }
        (_, "`true` or `false`") => json!({ "type": "boolean" }),
        (_, "a number") => json!({ "type": "integer", "minimum": 0 }),
        (_, "a text or a number" | "a number or a text") => json!({ "type": ["integer", "string"] }),
        (_, "a text" | "a file") => json!({ "type": "string" }),
        // Anything; a test sees to it that no key comes to this.
        _ => json!({}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds that a schema allows, and the kind of a value.
    fn allows(schema: &Value, value: &toml::de::DeValue<'_>) -> bool {
        use toml::de::DeValue as Toml;
        let is = |kind: &str| {
            schema["type"] == kind || schema["type"].as_array().is_some_and(|all| all.contains(&json!(kind)))
        };
        match value {
            Toml::String(_) => is("string"),
            Toml::Integer(_) => is("integer"),
            Toml::Boolean(_) => is("boolean"),
            Toml::Array(_) => is("array"),
            Toml::Table(_) => is("object") || schema["$ref"].is_string(),
            Toml::Float(_) | Toml::Datetime(_) => false,
        }
    }

    #[test]
    fn the_published_schema_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/scenario.schema.json");
        let now = format!("{:#}\n", schema());
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), now, "`BLESS=1` rewrites it");
    }

    #[test]
    fn every_example_fits_the_schema() {
        for keys in [TOP, STEP, LOOK, RUN, FINDING] {
            for key in keys.keys {
                let text = format!("{} = {}", key.name, key.example);
                let table = toml::de::DeTable::parse(&text).unwrap();
                assert!(allows(&value(keys, key), table.get_ref()[key.name].get_ref()), "{text}");
            }
        }
    }
}
