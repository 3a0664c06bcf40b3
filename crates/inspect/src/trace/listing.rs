//! `!object` listings of a directory.

use nt::hash::NameHash;
use record::ListedObject;

use super::line::address;

/// Collects the rows of listings.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) objects: Vec<ListedObject>,
    directory: Option<String>,
    bucket: Option<u32>,
    in_table: bool,
}

impl Listing {
    /// Takes a line, or tells that it belongs to no listing.
    pub(super) fn line(&mut self, number: u32, line: &str) -> bool {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["Object:", at, "Type:", ..] if address(at).is_some() => {
                self.end();
                self.directory = None;
                true
            }
            ["ObjectHeader:", at, ..] if address(at).is_some() => true,
            ["HandleCount:", _, "PointerCount:", _] => true,
            ["Directory", "Object:", at, "Name:", ..] if address(at).is_some() => {
                self.directory = line.split_once("Name:").map(|(_, name)| name.trim().to_owned());
                true
            }
            ["Hash", "Address", "Type", "Name"] => {
                self.in_table = true;
                self.bucket = None;
                true
            }
            [dashes, ..] if self.in_table && dashes.bytes().all(|byte| byte == b'-') => true,
            _ if self.in_table => self.row(number, line, &words),
            _ => false,
        }
    }

    /// Ends a table.
    pub(super) fn end(&mut self) {
        self.in_table = false;
    }

    fn row(&mut self, number: u32, line: &str, words: &[&str]) -> bool {
        let is_address = |word: &str| matches!(word.len(), 8 | 16 | 17) && address(word).is_some();
        let (bucket, rest) = match words {
            [first, at, _, _, ..] if first.len() <= 2 && is_address(at) => (first.parse().ok(), &words[1..]),
            [at, _, _, ..] if is_address(at) => (self.bucket, words),
            _ => {
                self.in_table = false;
                return false;
            }
        };
        let Some(at) = address(rest[0]) else { return false };
        self.bucket = bucket;
        // Names may contain blanks: the name is what follows the type.
        let name = line.split_once(rest[1]).map_or(rest[2], |(_, name)| name.trim());
        self.objects.push(ListedObject {
            line: number,
            directory: self.directory.clone().unwrap_or_default(),
            bucket,
            address: at,
            type_name: rest[1].to_owned(),
            name: name.to_owned(),
        });
        true
    }
}

/// Tells which hash puts every listed name into its bucket; names too short to tell decide nothing.
pub(super) fn hash(objects: &[ListedObject]) -> Option<String> {
    let mut told = objects.iter().filter_map(|object| Some((object, object.bucket?))).peekable();
    told.peek()?;
    let mut fits = [(NameHash::PerChar, "per character", true), (NameHash::Fast4, "four at a time", true)];
    for (object, bucket) in told {
        let name: Vec<u16> = object.name.encode_utf16().collect();
        for (hash, _, fit) in &mut fits {
            *fit &= hash.bucket(&name) == bucket as usize;
        }
    }
    match fits {
        [(_, name, true), (_, _, false)] | [(_, _, false), (_, name, true)] => Some(name.to_owned()),
        _ => None,
    }
}
