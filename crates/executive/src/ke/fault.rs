//! Ends of the world that the executive itself brings about.

use alloc::borrow::Cow;

use nt::{BugCheck, Irql};

use super::list::Corrupt;
use crate::executive::Executive;
use crate::platform::{Bugcheck, Platform};

/// `FAST_FAIL_CORRUPT_LIST_ENTRY` of `winnt.h`.
const FAST_FAIL_CORRUPT_LIST_ENTRY: u64 = 3;
/// `STATUS_ACCESS_VIOLATION`.
const ACCESS_VIOLATION: u64 = 0xC000_0005;

impl<P: Platform> Executive<P> {
    /// Ends the world with a code, its parameters and one sentence.
    pub(crate) fn ke_bugcheck(
        &self,
        code: BugCheck,
        parameters: [u64; 4],
        reason: impl Into<Cow<'static, str>>,
    ) -> ! {
        self.bugcheck(Bugcheck { code, parameters, reason: reason.into() })
    }

    /// Ends the world as `__fastfail(3)` does: bugcheck 0x139 `KERNEL_SECURITY_CHECK_FAILURE` with parameter
    /// 1 = 3.
    pub(crate) fn ke_fastfail_list(&self, corrupt: Corrupt, list: impl core::fmt::Display) -> ! {
        self.ke_bugcheck(
            BugCheck::KERNEL_SECURITY_CHECK_FAILURE,
            [FAST_FAIL_CORRUPT_LIST_ENTRY, 0, corrupt.at as u64, 0],
            alloc::format!("corrupt list entry in {list}"),
        )
    }

    /// Unwraps the result of a list operation.
    ///
    /// A null link ends as the access to it does: nothing is compared yet.
    pub(crate) fn ke_checked<T>(&self, result: Result<T, Corrupt>, list: &'static str) -> T {
        match result {
            Ok(value) => value,
            Err(Corrupt { reads: Some(address), .. }) => {
                self.ke_access_violation(address, "a list has a null link")
            }
            Err(corrupt) => self.ke_fastfail_list(corrupt, list),
        }
    }

    /// Unwraps the result of an operation on the timer queue, and where it failed says which timer the platform holds to be the reason.
    pub(super) fn ke_checked_timers<T>(&self, result: Result<T, Corrupt>) -> T {
        const LIST: &str = "the timer queue";
        let Err(corrupt) = result else { return self.ke_checked(result, LIST) };
        let Some(timer) = self.platform().damaged_timer() else { return self.ke_checked(result, LIST) };
        match corrupt.reads {
            Some(address) => {
                self.ke_access_violation(address, alloc::format!("{LIST} has a null link ({timer})"))
            }
            None => self.ke_fastfail_list(corrupt, alloc::format!("{LIST}: {timer}")),
        }
    }

    /// Ends the world for a null pointer that NT would have followed.
    ///
    /// Below `DISPATCH_LEVEL` an access violation in the kernel that nobody handles ends in 0x7E
    /// `SYSTEM_THREAD_EXCEPTION_NOT_HANDLED` (system threads, where drivers are loaded), from
    /// `DISPATCH_LEVEL` up in 0xA. Parameters 2 to 4 of a 0x7E (the instruction, and where the exception record and the
    /// context lie) are 0, as there are none.
    pub(crate) fn ke_access_violation(&self, address: u64, reason: impl Into<Cow<'static, str>>) -> ! {
        let reason = reason.into();
        let irql = self.platform().irql();
        if irql >= Irql::DISPATCH {
            self.ke_bugcheck(BugCheck::IRQL_NOT_LESS_OR_EQUAL, [address, u64::from(irql.0), 0, 0], reason)
        }
        self.ke_bugcheck(
            BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED,
            [ACCESS_VIOLATION, 0, 0, 0],
            alloc::format!("{reason}: the kernel reads from {address:#x}"),
        )
    }

    /// Ends the world for a status raised where no handler exists: 0x1E `KMODE_EXCEPTION_NOT_HANDLED`.
    pub(crate) fn ke_raise_status(&self, status: nt::NTSTATUS, reason: &'static str) -> ! {
        self.ke_bugcheck(BugCheck::KMODE_EXCEPTION_NOT_HANDLED, [u64::from(status.0), 0, 0, 0], reason)
    }
}
