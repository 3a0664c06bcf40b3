//! Pieces that every text view shares.

use std::fmt::Write as _;

use record::Registers;

/// Replaces control characters, so that text from a driver or an image can neither move the cursor nor fake a line.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\t' => out.push(' '),
            control if control.is_control() => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out
}

/// Longest sentence that stays on one line.
const ONE_LINE: usize = 200;

/// Breaks a sentence of many clauses into its clauses, which are divided by `; `, where it is too long for one line.
pub fn clauses(sentence: &str) -> Vec<&str> {
    if sentence.chars().count() <= ONE_LINE { vec![sentence] } else { sentence.split("; ").collect() }
}

/// Prints registers as a debugger does, four to a line.
pub fn registers(r: &Registers) -> String {
    let rows = [
        [("rax", r.rax), ("rbx", r.rbx), ("rcx", r.rcx), ("rdx", r.rdx)],
        [("rsi", r.rsi), ("rdi", r.rdi), ("rbp", r.rbp), ("rsp", r.rsp)],
        [("r8 ", r.r8), ("r9 ", r.r9), ("r10", r.r10), ("r11", r.r11)],
        [("r12", r.r12), ("r13", r.r13), ("r14", r.r14), ("r15", r.r15)],
    ];
    let mut out = String::new();
    for row in rows {
        out.push_str("   ");
        for (name, value) in row {
            let _ = write!(out, " {name}={value:016x}");
        }
        out.push('\n');
    }
    let _ = writeln!(out, "    rip={:016x} rflags={:x}", r.rip, r.rflags);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_are_made_visible() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\td"), "a\\u{1b}[2Jb\\u{a}c d");
    }
}

#[cfg(test)]
mod clause_tests {
    use super::clauses;

    #[test]
    fn only_a_long_sentence_is_broken_up_and_nothing_of_it_is_lost() {
        assert_eq!(clauses("one; two"), ["one; two"]);
        let long = format!("{}; two; three", "one ".repeat(60).trim_end());
        assert_eq!(clauses(&long).len(), 3);
        assert_eq!(clauses(&long).join("; "), long);
    }
}
