//! Labeled paragraphs: a narrow column of labels, and text wrapped beside it.

use std::fmt::Write as _;

/// Column where the text begins.
const MARGIN: usize = 14;
/// Column where it ends.
const WIDTH: usize = 100;

/// Collects labeled paragraphs.
#[derive(Debug, Default)]
pub struct Fields {
    out: String,
}

impl Fields {
    /// Begins with a line of its own.
    #[must_use]
    pub fn titled(title: &str) -> Self {
        Self { out: format!("{title}\n") }
    }

    /// Adds a paragraph; a label that is the same as the one above is left out by passing an empty one.
    pub fn add(&mut self, label: &str, text: &str) -> &mut Self {
        let _ = write!(self.out, "  {label:<width$}", width = MARGIN - 2);
        let mut column = MARGIN;
        for (index, word) in text.split(' ').filter(|word| !word.is_empty()).enumerate() {
            let length = word.chars().count();
            if index > 0 && column + 1 + length > WIDTH {
                let _ = write!(self.out, "\n{:MARGIN$}", "");
                column = MARGIN;
            } else if index > 0 {
                self.out.push(' ');
                column += 1;
            }
            self.out.push_str(word);
            column += length;
        }
        self.out.push('\n');
        self
    }

    /// Adds several paragraphs under one label; none, no label.
    pub fn list<T: AsRef<str>>(&mut self, label: &str, texts: impl IntoIterator<Item = T>) -> &mut Self {
        for (index, text) in texts.into_iter().enumerate() {
            self.add(if index == 0 { label } else { "" }, text.as_ref());
        }
        self
    }

    /// Adds an empty line.
    pub fn gap(&mut self) -> &mut Self {
        self.out.push('\n');
        self
    }

    /// Ends the text.
    #[must_use]
    pub fn finish(self) -> String {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_wraps_beside_its_label() {
        let mut fields = Fields::titled("title");
        fields.add("label", &"word ".repeat(30)).list("more", ["a", "b"]);
        let text = fields.finish();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "title");
        assert!(lines[1].starts_with("  label       word word"));
        assert!(lines[2].starts_with("              word"));
        assert!(lines.iter().all(|line| line.len() <= WIDTH && line.trim_end() == *line));
        assert_eq!(lines[lines.len() - 2..], ["  more        a", "              b"]);
    }
}
