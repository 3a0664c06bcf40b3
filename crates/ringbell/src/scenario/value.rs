//! Values of a TOML document, taken as what a key says, or refused with the place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Mistake;
use super::mistake::printable;
use super::settings::{Key, Keys};
use super::source::Source;

/// A table of which every key is known.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) source: &'a Source<'a>,
    keys: Keys,
    entries: &'a DeTable<'a>,
}

/// The value of a key.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) source: &'a Source<'a>,
    key: &'static Key,
    /// Where the key stands.
    at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Table<'a> {
    /// Takes a table, and refuses it where a key is not known. The first one in the file is told.
    pub(super) fn new(source: &'a Source<'a>, keys: Keys, entries: &'a DeTable<'a>) -> Result<Self, Mistake> {
        let unknown = entries.keys().filter(|key| keys.find(key.get_ref()).is_none());
        match unknown.min_by_key(|key| key.span().start) {
            None => Ok(Self { source, keys, entries }),
            Some(key) => {
                let name = key.get_ref();
                let mistake = match keys.elsewhere(name) {
                    Some(hint) => Mistake::new(format!("`{}` does not stand here", printable(name)), hint),
                    None => Mistake::unknown("key", name, keys.names(), &keys.list()),
                };
                Err(source.at(key.span(), mistake))
            }
        }
    }

    /// Returns the value of a key, which is one of the table's.
    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        let key = self.keys.find(name)?;
        let (at, value) = self.entries.get_key_value(name)?;
        Some(Value { source: self.source, key, at: at.span().start, value })
    }

    /// Returns the values of the keys that are there, in the order of the file.
    pub(super) fn values(&self) -> Vec<Value<'a>> {
        let mut all: Vec<_> = self.entries.keys().filter_map(|key| self.get(key.get_ref())).collect();
        all.sort_by_key(|value| value.at);
        all
    }
}

/// Names a kind of value.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

impl<'a> Value<'a> {
    pub(super) fn name(&self) -> &'static str {
        self.key.name
    }

    /// Returns where the key stands.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Returns where the key itself is.
    pub(super) fn key_span(&self) -> Range<usize> {
        self.at..self.at + self.key.name.len()
    }

    /// Says that something is wrong with the value.
    pub(super) fn wrong(&self, mistake: Mistake) -> Mistake {
        self.source.at(self.value.span(), mistake)
    }

    /// Says that the value is of the wrong kind.
    fn other(&self, found: &Spanned<DeValue<'_>>) -> Mistake {
        let Key { name, takes, example, .. } = self.key;
        let hint = if *name == "step" {
            "begin each step with a line `[[step]]`".into()
        } else {
            format!("write for example `{name} = {example}`")
        };
        let message = format!("`{name}` takes {takes}, and this is {}", kind(found.get_ref()));
        self.source.at(found.span(), Mistake::new(message, hint))
    }

    pub(super) fn text(&self) -> Result<&'a str, Mistake> {
        self.text_of(self.value)
    }

    fn text_of(&self, value: &'a Spanned<DeValue<'a>>) -> Result<&'a str, Mistake> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.other(value)),
        }
    }

    pub(super) fn truth(&self) -> Result<bool, Mistake> {
        match self.value.get_ref() {
            DeValue::Boolean(truth) => Ok(*truth),
            _ => Err(self.other(self.value)),
        }
    }

    /// Returns whether the value is a number.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Integer(_))
    }

    fn integer_of(&self, value: &Spanned<DeValue<'_>>) -> Result<i128, Mistake> {
        let DeValue::Integer(number) = value.get_ref() else { return Err(self.other(value)) };
        // Longer digits than an `i128` takes are no number of anything here.
        Ok(i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX))
    }

    /// Returns a number between `least` and `most`.
    pub(super) fn number(&self, least: u64, most: u64) -> Result<u64, Mistake> {
        let number = self.integer_of(self.value)?;
        u64::try_from(number).ok().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
            let message = format!("`{}` is out of range", self.key.name);
            self.wrong(Mistake::new(message, format!("it lies between {least} and {most}")))
        })
    }

    /// Returns a count.
    pub(super) fn count(&self) -> Result<u32, Mistake> {
        self.number(0, u64::from(u32::MAX)).map(|number| u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// Returns a list of texts, each with its place.
    pub(super) fn texts(&self) -> Result<Vec<(&'a str, Range<usize>)>, Mistake> {
        self.list()?.iter().map(|item| Ok((self.text_of(item)?, item.span()))).collect()
    }

    /// Returns two words, of which any may be left out; a negative number is meant as two's complement.
    pub(super) fn words(&self) -> Result<[u64; 2], Mistake> {
        let items = self.list()?;
        if items.len() > 2 {
            let message = format!("`{}` holds {} numbers", self.key.name, items.len());
            return Err(self.wrong(Mistake::new(message, "`ExNotifyCallback` passes two")));
        }
        let mut words = [0; 2];
        for (word, item) in words.iter_mut().zip(items) {
            let number = self.integer_of(item)?;
            let signed = i64::try_from(number).map(i64::cast_unsigned);
            *word = u64::try_from(number).or(signed).map_err(|_| {
                let mistake =
                    Mistake::new("the argument does not fit 64 bits", "write it in hexadecimal, as `0x1`");
                self.source.at(item.span(), mistake)
            })?;
        }
        Ok(words)
    }

    fn list(&self) -> Result<&'a [Spanned<DeValue<'a>>], Mistake> {
        match self.value.get_ref() {
            DeValue::Array(items) => Ok(items),
            _ => Err(self.other(self.value)),
        }
    }

    /// Returns the table, whose keys are `keys`.
    pub(super) fn table(&self, keys: Keys) -> Result<Table<'a>, Mistake> {
        match self.value.get_ref() {
            DeValue::Table(entries) => Table::new(self.source, keys, entries),
            _ => Err(self.other(self.value)),
        }
    }

    /// Returns the keys and texts of a table with keys of its own, in the order of the file.
    pub(super) fn pairs(&self) -> Result<Vec<Pair<'a>>, Mistake> {
        let DeValue::Table(entries) = self.value.get_ref() else { return Err(self.other(self.value)) };
        let mut pairs = Vec::new();
        for (key, value) in entries {
            let DeValue::String(text) = value.get_ref() else {
                let message = format!(
                    "`{}` takes a text, and this is {}",
                    printable(key.get_ref()),
                    kind(value.get_ref())
                );
                let hint = format!("write for example `{} = {}`", self.key.name, self.key.example);
                return Err(self.source.at(value.span(), Mistake::new(message, hint)));
            };
            pairs.push(Pair { key: key.get_ref(), key_span: key.span(), text, text_span: value.span() });
        }
        pairs.sort_by_key(|pair| pair.key_span.start);
        Ok(pairs)
    }

    /// Returns the tables of a list, each with its place.
    pub(super) fn tables(&self, keys: Keys) -> Result<Vec<(Table<'a>, Range<usize>)>, Mistake> {
        let take = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(entries) => Ok((Table::new(self.source, keys, entries)?, item.span())),
            _ => Err(self.other(item)),
        };
        self.list()?.iter().map(take).collect()
    }

    /// Returns the items of a list of texts and tables.
    pub(super) fn texts_or_tables(&self, keys: Keys) -> Result<Vec<Item<'a>>, Mistake> {
        let take = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::String(text) => Ok(Item::Text(text, item.span())),
            DeValue::Table(entries) => Ok(Item::Table(Table::new(self.source, keys, entries)?, item.span())),
            _ => Err(self.other(item)),
        };
        self.list()?.iter().map(take).collect()
    }
}

/// A key and a text, where the keys are not known beforehand.
pub(super) struct Pair<'a> {
    pub(super) key: &'a str,
    pub(super) key_span: Range<usize>,
    pub(super) text: &'a str,
    pub(super) text_span: Range<usize>,
}

/// A text or a table.
pub(super) enum Item<'a> {
    Text(&'a str, Range<usize>),
    Table(Table<'a>, Range<usize>),
}
