//! Every key of a scenario file, in tables: the reader, the book and the suggestions for misspelled keys use these.

use std::fmt::Write as _;

/// A key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    /// What it takes, with its article.
    pub(super) takes: &'static str,
    /// A value, as TOML.
    pub(super) example: &'static str,
    /// What it says, as the book has it.
    pub(super) says: &'static str,
}

/// Keys that belong together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    /// Where they stand, in words.
    pub(super) place: &'static str,
    pub(super) keys: &'static [Key],
}

impl Keys {
    pub(super) fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.keys.iter().map(|key| key.name)
    }

    /// Says where a key stands that does not stand among these.
    pub(super) fn elsewhere(&self, name: &str) -> Option<String> {
        let whole = matches!(name, "finding" | "findings" | "ending");
        if self.place == LOOK.place && whole {
            let run = "what the rules find and how the run ends is known at its end";
            return Some(format!("{run}; write it in the table `[expect]`"));
        }
        let other = [TOP, STEP, RUN].into_iter().find(|keys| keys.find(name).is_some())?;
        (self.find(name).is_none()).then(|| format!("it is a key {}; here are {}", other.place, self.list()))
    }

    /// Lists the names for a hint.
    pub(super) fn list(&self) -> String {
        let names: Vec<&str> = self.names().collect();
        format!("keys {}: {}", self.place, names.join(", "))
    }
}

const fn key(name: &'static str, takes: &'static str, example: &'static str, says: &'static str) -> Key {
    Key { name, takes, example, says }
}

/// Keys at the top of the file.
pub(super) const TOP: Keys = Keys {
    place: "at the top",
    keys: &[
        key(
            "drivers",
            "a list of files",
            r#"["listener.sys"]"#,
            "drivers to load before the first step, in this order",
        ),
        key("os", "a text", r#""win10""#, "Windows version to be"),
        key(
            "seed",
            "a number or a text",
            "42",
            "seed of every choice: cookies, and with any but 0 the schedule; `\"42@2\"` is one of scheduler version 2",
        ),
        key("cpus", "a number", "4", "virtual processors, 1 to 64"),
        key(
            "parallel-processors",
            "`true` or `false`",
            "true",
            "whether the processors, 2 unless `cpus` says otherwise, run at the same time; goes with no `seed` or `schedule`",
        ),
        key(
            "schedule",
            "a text",
            r#""s2:12=256,40=step""#,
            "a schedule to play again, as a report shows it, instead of the seed's",
        ),
        key(
            "fault",
            "a text",
            r#""3""#,
            "a call to make fail: the number among the calls that can fail, or its name as a report shows it",
        ),
        key("timeout", "a text", r#""10s""#, "wall time that each step may take"),
        key("event-limit", "a number", "1_000_000", "most events of the run; one more ends it"),
        key(
            "kernel-listeners",
            "`true` or `false`",
            "false",
            "whether the kernel's own routines are registered at boot",
        ),
        key("trace", "`true` or `false`", "true", "whether every export call is an event"),
        key(
            "keep-loaded",
            "`true` or `false`",
            "true",
            "whether the drivers stay loaded at the end; there is no departure audit then",
        ),
        key(
            "dump",
            "a file",
            r#""machine.dmp""#,
            "where to write the machine as a Windows crash dump, after the last step and before the drivers leave, or when it dies",
        ),
        key(
            "dump-form",
            "a text",
            r#""bitmap""#,
            "the kind of that dump: `full`, which is the default, or `bitmap`",
        ),
        key(
            "rules",
            "a table",
            r#"{ RB004 = "allow" }"#,
            "how findings are taken: a rule's number or name, and `allow`, `note`, `warn` or `deny`",
        ),
        key("expect", "a table", r#"{ ending = "finished" }"#, "what is expected of the whole run"),
        key(
            "step",
            "a list of steps",
            r#"[{ ring = "PowerState" }]"#,
            "what is done, in order; written as `[[step]]`, once for each",
        ),
    ],
};

/// Keys of a step.
pub(super) const STEP: Keys = Keys {
    place: "of a step",
    keys: &[
        key("load", "a file", r#""listener.sys""#, "load a driver"),
        key("as", "a text", r#""first.sys""#, "with `load`: its name in the run, instead of the file's"),
        key(
            "ring",
            "a text",
            r#""PowerState=1,0@dispatch""#,
            "ring an object, written as for `--notify`; with `arguments` or `irql` it is the name alone",
        ),
        key("arguments", "a list of at most two numbers", "[1, 0]", "with `ring`: what the routines get"),
        key("irql", "a text", r#""dispatch""#, "with `ring`: `passive`, `apc` or `dispatch`"),
        key("event", "a text", r#""power.ac""#, "play an event of Windows"),
        key("wait", "a text", r#""10s""#, "let virtual time pass; it costs no real time"),
        key("unload", "a text", r#""listener.sys""#, "ask a driver to leave, by its name in the run"),
        key(
            "parallel",
            "a list of steps",
            r#"[{ ring = "callbackbopin" }, { unload = "listener.sys" }]"#,
            "do these at once, each in a thread of its own, and go on when all are done; they load, ring, wait, unload or play events",
        ),
        key(
            "expect",
            "a table",
            r#"{ object = "PowerState", listeners = 1 }"#,
            "look whether the machine is as expected",
        ),
    ],
};

/// Keys that say what a step does; the others go with one of them.
pub(super) const VERBS: [&str; 7] = ["load", "ring", "event", "wait", "unload", "parallel", "expect"];

/// Keys of an `expect` step.
pub(super) const LOOK: Keys = Keys {
    place: "of an `expect` step",
    keys: &[
        key("object", "a text", r#""PowerState""#, "the callback object that is meant; alone it must exist"),
        key("exists", "`true` or `false`", "false", "with `object`: whether it must exist"),
        key("listeners", "a number", "1", "with `object`: how many routines must be registered on it"),
        key(
            "deliveries",
            "a number",
            "2",
            "how many routine calls there must have been since the last look, with `object` those of it",
        ),
        key(
            "print",
            "a text",
            r#""ring 1""#,
            "text that must have been printed with `DbgPrint` since the last look",
        ),
        key("count", "a number", "2", "with `print`: how many times exactly"),
        key(
            "driver",
            "a text",
            r#""listener.sys""#,
            "the driver that is meant: whose listeners, deliveries to whom, who prints, whose status",
        ),
        key(
            "status",
            "a text or a number",
            r#""STATUS_SUCCESS""#,
            "with `driver`: what `DriverEntry` must have returned: a status, `success` or `failure`",
        ),
    ],
};

/// Keys of the `[expect]` table.
pub(super) const RUN: Keys = Keys {
    place: "of the table `[expect]`",
    keys: &[
        key(
            "ending",
            "a text",
            r#""bugcheck 0xC4""#,
            "how the run must end: `finished`, `bugcheck`, `bugcheck CODE`, `hang`, `deadlock`, `absent-export`, `absent-export NAME` or `event-limit`",
        ),
        key(
            "findings",
            "a list of rules",
            r#"["RB001"]"#,
            "what the rules must find; anything else they find counts as ever",
        ),
    ],
};

/// Keys of an expected finding.
pub(super) const FINDING: Keys = Keys {
    place: "of an expected finding",
    keys: &[
        key("rule", "a text", r#""RB001""#, "the rule, by number or name"),
        key("driver", "a text", r#""listener.sys""#, "the driver it must be in"),
        key("count", "a number", "1", "how many findings exactly; without it one or more"),
    ],
};

/// Every table of keys with its heading in the book.
const ALL: [(&str, Keys); 5] = [
    ("At the top of the file", TOP),
    ("In a `[[step]]`", STEP),
    ("In an `expect` step", LOOK),
    ("In the table `[expect]`", RUN),
    ("In an expected finding", FINDING),
];

/// Returns every key of a scenario file, what it takes and what it says, as tables of Markdown.
pub fn reference() -> String {
    let mut out = String::new();
    for (heading, keys) in ALL {
        let _ = writeln!(out, "### {heading}\n\n| key | takes | says | for example |\n|---|---|---|---|");
        for Key { name, takes, example, says } in keys.keys {
            let _ = writeln!(out, "| `{name}` | {takes} | {says} | `{name} = {example}` |");
        }
        out.push('\n');
    }
    out
}

/// Returns every key of a scenario file for a terminal.
pub fn help() -> String {
    let mut out = String::from("a scenario is a TOML file: `ringbell run FILE.toml`\n");
    for (heading, keys) in ALL {
        let _ = writeln!(out, "\n{}", heading.replace('`', "").to_lowercase());
        for Key { name, example, says, .. } in keys.keys {
            let _ = writeln!(out, "  {name:<17} {says}\n  {:<17} {name} = {example}", "");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_book_has_every_key() {
        let book = include_str!("../../../../docs/src/scenarios.md");
        let shown = book.split("<!-- keys -->\n").nth(1).unwrap_or_default();
        if std::env::var_os("BLESS").is_some() && shown.trim() != reference().trim() {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/src/scenarios.md");
            std::fs::write(path, book.replace(shown, &format!("\n{}", reference()))).unwrap();
            return;
        }
        assert_eq!(shown.trim(), reference().trim(), "`BLESS=1` rewrites the tables");
    }

    #[test]
    fn every_example_is_toml() {
        for (_, keys) in ALL {
            for Key { name, example, .. } in keys.keys {
                let line = format!("{name} = {example}\n");
                assert!(toml::de::DeTable::parse(&line).is_ok(), "{line}");
            }
        }
    }

    #[test]
    fn every_verb_is_a_key_of_a_step() {
        assert!(VERBS.iter().all(|verb| STEP.find(verb).is_some()));
    }
}
