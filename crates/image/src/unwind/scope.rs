//! The scope table: where `__try` blocks are and what guards them.
//!
//! Data of the handler `__C_specific_handler`: a count, then for each block, inner ones first, where it begins and ends, its filter
//! or termination routine, and its `__except` block. Source: Microsoft docs, "x64 exception handling" and `SCOPE_TABLE_AMD64` of
//! `winnt.h`.
//!
//! The table is hostile input like all unwind data: it has at most [`MAX_SCOPES`] entries, and one that is cut off ends there.

/// Entries behind these are not looked at: compilers write some tens for a large function.
pub const MAX_SCOPES: u32 = 4096;

/// One guarded block. All numbers are RVAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its first instruction.
    pub begin: u32,
    /// The first instruction behind it.
    pub end: u32,
    /// Filter or termination routine; 1 for the filter that always says `EXCEPTION_EXECUTE_HANDLER`.
    pub handler: u32,
    /// The `__except` block, 0 for a `__finally`.
    pub target: u32,
}

/// What guards a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clause {
    /// `__except`.
    Except {
        /// What decides.
        filter: Filter,
        /// RVA of the block.
        target: u32,
    },
    /// `__finally`: RVA of its routine.
    Finally(u32),
}

/// What decides whether an `__except` block takes an exception.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Nothing: it takes all.
    Always,
    /// The routine at this RVA.
    Routine(u32),
}

impl Scope {
    /// Whether an RVA lies in the block.
    pub fn contains(self, rva: u32) -> bool {
        self.begin <= rva && rva < self.end
    }

    /// Returns what guards it.
    pub fn clause(self) -> Clause {
        match (self.target, self.handler) {
            (0, handler) => Clause::Finally(handler),
            (target, 1) => Clause::Except { filter: Filter::Always, target },
            (target, handler) => Clause::Except { filter: Filter::Routine(handler), target },
        }
    }
}

/// A scope table behind a function that reads its words, counted from 0.
#[derive(Debug)]
pub struct ScopeTable<R> {
    count: u32,
    read: R,
}

impl<R: FnMut(u32) -> Option<u32>> ScopeTable<R> {
    /// Begins to read a table; an unreadable one is empty.
    pub fn new(mut read: R) -> Self {
        let count = read(0).unwrap_or(0).min(MAX_SCOPES);
        Self { count, read }
    }

    /// Returns the number of entries.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns entry `index`.
    pub fn scope(&mut self, index: u32) -> Option<Scope> {
        if index >= self.count {
            return None;
        }
        let mut word = |field| (self.read)(1 + index * 4 + field);
        Some(Scope { begin: word(0)?, end: word(1)?, handler: word(2)?, target: word(3)? })
    }

    /// Finds the next `__except` around `rva`, from entry `from` on: its number, filter and target. For the first pass, which
    /// looks for whoever takes an exception.
    pub fn except(&mut self, rva: u32, from: u32) -> Option<(u32, Filter, u32)> {
        for index in from..self.count {
            let scope = self.scope(index)?;
            if scope.contains(rva)
                && let Clause::Except { filter, target } = scope.clause()
            {
                return Some((index, filter, target));
            }
        }
        None
    }

    /// Finds the next `__finally` around `rva` that is left, from entry `from` on: its number and routine. For the second pass, which
    /// unwinds. In the frame where unwinding ends `to` is the RVA where it goes on: what is around that too is not left, and nothing
    /// outside of the `__except` it belongs to is.
    pub fn finally(&mut self, rva: u32, from: u32, to: Option<u32>) -> Option<(u32, u32)> {
        for index in from..self.count {
            let scope = self.scope(index)?;
            if !scope.contains(rva) {
                continue;
            }
            if to.is_some_and(|to| scope.contains(to)) {
                return None;
            }
            match scope.clause() {
                Clause::Except { target, .. } if to == Some(target) => return None,
                Clause::Except { .. } => {}
                Clause::Finally(routine) => return Some((index, routine)),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(words: &[u32]) -> ScopeTable<impl FnMut(u32) -> Option<u32> + '_> {
        ScopeTable::new(|index| words.get(index as usize).copied())
    }

    /// `try { try { A } finally F; B } except(filter) X` in a function from 0x100 on; X at 0x180.
    const NESTED: [u32; 9] = [2, 0x110, 0x120, 0x300, 0, 0x110, 0x140, 0x310, 0x180];

    #[test]
    fn the_first_pass_sees_excepts_and_the_second_finallys() {
        let mut nested = table(&NESTED);
        assert_eq!(nested.except(0x118, 0), Some((1, Filter::Routine(0x310), 0x180)));
        assert_eq!(nested.except(0x118, 2), None);
        assert_eq!(nested.except(0x140, 0), None, "the end is outside");
        assert_eq!(nested.finally(0x118, 0, Some(0x180)), Some((0, 0x300)));
        assert_eq!(nested.finally(0x118, 1, Some(0x180)), None, "it was called already");
        assert_eq!(nested.finally(0x130, 0, None), None, "the finally block is behind");
    }

    #[test]
    fn unwinding_stops_at_the_except_it_leads_to_and_where_the_goal_is_inside() {
        // An except in a finally: whoever goes on in the except does not leave the finally.
        let words = [2, 0x110, 0x120, 1, 0x128, 0x110, 0x140, 0x300, 0];
        assert_eq!(table(&words).except(0x114, 0), Some((0, Filter::Always, 0x128)));
        assert_eq!(table(&words).finally(0x114, 0, Some(0x128)), None);
        assert_eq!(table(&words).finally(0x114, 0, Some(0x200)), Some((1, 0x300)), "past both");
        assert_eq!(table(&words).finally(0x114, 0, None), Some((1, 0x300)), "past the function");
        // The target lies outside of the outer finally, as compilers place it: it is still the except that ends the search.
        let words = [2, 0x110, 0x120, 1, 0x150, 0x110, 0x140, 0x300, 0];
        assert_eq!(table(&words).finally(0x114, 0, Some(0x150)), None);
    }

    #[test]
    fn hostile_tables_end() {
        assert_eq!(table(&[]).except(0, 0), None);
        assert_eq!(table(&[u32::MAX]).count(), MAX_SCOPES);
        assert_eq!(table(&[u32::MAX, 0, u32::MAX]).finally(5, 0, None), None, "cut off");
        assert_eq!(table(&NESTED).finally(0x118, u32::MAX, None), None);
        let mut reads = 0;
        let endless = |index: u32| {
            reads += 1;
            Some(if index == 0 { u32::MAX } else { 0 })
        };
        assert_eq!(ScopeTable::new(endless).except(0, 0), None);
        assert_eq!(reads, 1 + 4 * MAX_SCOPES);
    }
}
