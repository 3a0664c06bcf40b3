//! The text of a scenario file, and places in it.

use std::ops::Range;
use std::sync::Arc;

use super::mistake::{Excerpt, Mistake, Place};

/// Most characters of a line that are shown.
const WINDOW: usize = 100;

/// A scenario's text.
#[derive(Debug)]
pub(super) struct Source<'a> {
    file: Arc<str>,
    text: &'a str,
    /// Where each line begins.
    lines: Vec<usize>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &str, text: &'a str) -> Self {
        let after = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { file: file.into(), text, lines: std::iter::once(0).chain(after).collect() }
    }

    /// Returns the place of a byte offset.
    pub(super) fn place(&self, offset: usize) -> Place {
        let line = self.lines.partition_point(|start| *start <= offset);
        Place { file: Arc::clone(&self.file), line: u32::try_from(line).unwrap_or(u32::MAX) }
    }

    /// Says that `mistake` is about the words at `span`.
    pub(super) fn at(&self, span: Range<usize>, mistake: Mistake) -> Mistake {
        let mut mistake = mistake;
        mistake.excerpt = Some(self.excerpt(span));
        mistake
    }

    fn excerpt(&self, span: Range<usize>) -> Excerpt {
        let start = floor(self.text, span.start);
        let place = self.place(start);
        let begin = self.lines[place.line as usize - 1];
        let line = self.text[begin..].lines().next().unwrap_or_default();
        let end = floor(self.text, span.end).clamp(start, begin + line.len().max(start - begin));
        let before = self.text[begin..start].chars().count();
        let under = self.text[start..end].chars().count().max(1);
        // A window of a long line, with the words not far from its left end.
        let skip = if line.chars().count() <= WINDOW { 0 } else { before.saturating_sub(WINDOW / 4) };
        let visible = |character: char| if character.is_control() { ' ' } else { character };
        let mut text: String = line.chars().skip(skip).take(WINDOW).map(visible).collect();
        let mut indent = before - skip;
        if line.chars().count() > skip + WINDOW {
            text.push('…');
        }
        if skip > 0 {
            text.insert(0, '…');
            indent += 1;
        }
        let room = text.chars().count().saturating_sub(indent).max(1);
        Excerpt { place, column: before + 1, text, caret: (indent, under.min(room)) }
    }
}

/// Returns the last character boundary that is not after `offset`.
fn floor(text: &str, offset: usize) -> usize {
    let offset = offset.min(text.len());
    (0..=offset).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>) -> String {
        Source::new("s.toml", text).at(span, Mistake::new("wrong", "right")).to_string()
    }

    #[test]
    fn the_words_are_underlined() {
        assert_eq!(shown("a = 1\nbb = 2\n", 6..8), "wrong\n --> s.toml:2:1\n  |\n2 | bb = 2\n  | ^^");
        assert_eq!(shown("ä = é\n", 5..7), "wrong\n --> s.toml:1:5\n  |\n1 | ä = é\n  |     ^");
        assert_eq!(shown("\tx", 1..2), "wrong\n --> s.toml:1:2\n  |\n1 |  x\n  |  ^");
    }

    #[test]
    fn any_span_has_a_place() {
        for text in ["", "\n", "x", "ä\r\nö", "a\n\n"] {
            for start in 0..text.len() + 3 {
                for end in start..text.len() + 3 {
                    assert!(shown(text, start..end).contains('^'), "{text:?} {start}..{end}");
                }
            }
        }
    }

    #[test]
    fn of_a_long_line_a_window_is_shown() {
        let text = format!("key = \"{}\" ?!", "x".repeat(5000));
        let shown = shown(&text, text.len() - 2..text.len());
        let lines: Vec<_> = shown.lines().collect();
        assert!(lines[3].starts_with("1 | …xxx") && lines[3].ends_with("x\" ?!"), "{shown}");
        assert!(lines[3].chars().count() < 120);
        assert_eq!(
            lines[4].find('^'),
            Some(lines[3].chars().position(|character| character == '?').unwrap())
        );
    }
}
