//! What the callback routines mean by a status.
//!
//! `ExCreateCallback` hands on what the object manager answers, so its statuses are those of opening, of creating, and
//! of two decisions of its own. From decompilations of shipped x64 kernels (8.1 to builds after 24H2) and Microsoft's
//! documentation; version differences are named in the sentence.

use crate::status::*;

/// One reason for a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The status.
    pub status: NTSTATUS,
    /// Routine that returns it.
    pub routine: &'static str,
    /// When.
    pub when: &'static str,
}

/// Lists the reasons for a status.
pub fn outcomes_of(status: NTSTATUS) -> impl Iterator<Item = &'static Outcome> {
    OUTCOMES.iter().filter(move |outcome| outcome.status == status)
}

const fn create(status: NTSTATUS, when: &'static str) -> Outcome {
    Outcome { status, routine: "ExCreateCallback", when }
}

const fn other(status: NTSTATUS, routine: &'static str, when: &'static str) -> Outcome {
    Outcome { status, routine, when }
}

/// Every reason, in the order in which `ExCreateCallback` meets them, then the wrappers'.
pub const OUTCOMES: &[Outcome] = &[
    create(
        STATUS_SUCCESS,
        "the object exists (then AllowMultipleCallbacks, OBJ_PERMANENT and the security descriptor are ignored), or \
         was created",
    ),
    create(
        STATUS_UNSUCCESSFUL,
        "Create is FALSE and ObjectName is NULL; with Create TRUE the same attributes make an unnamed object",
    ),
    create(
        STATUS_INVALID_PARAMETER,
        "OBJECT_ATTRIBUTES.Length is wrong, an attribute bit is unknown, or OBJ_OPENLINK is set, which the type refuses",
    ),
    create(
        STATUS_OBJECT_NAME_INVALID,
        "the name's length is odd or 0xFFFE, a component is empty (`\\Callback\\`, `\\Callback\\\\X`), or there is a root \
         directory but no name",
    ),
    create(
        STATUS_OBJECT_PATH_SYNTAX_BAD,
        "the name has no root directory and does not begin with `\\`, or has one and does",
    ),
    create(STATUS_INVALID_HANDLE, "RootDirectory is not a handle"),
    create(
        STATUS_OBJECT_NAME_NOT_FOUND,
        "Create is FALSE and nothing has that name: never created, or created without OBJ_PERMANENT and nameless since, or \
         spelled in another case without OBJ_CASE_INSENSITIVE",
    ),
    create(
        STATUS_OBJECT_PATH_NOT_FOUND,
        "a directory on the way does not exist, perhaps because of its case (`\\callback` without OBJ_CASE_INSENSITIVE)",
    ),
    create(
        STATUS_OBJECT_TYPE_MISMATCH,
        "the name belongs to an object of another type, or continues below one that is no directory",
    ),
    create(
        STATUS_OBJECT_NAME_COLLISION,
        "another thread inserted the name between the open and the insertion, and OBJ_OPENIF is not set; before Windows \
         8.1 also for a name of another type with Create TRUE",
    ),
    create(STATUS_REPARSE_POINT_ENCOUNTERED, "a symbolic link is on the way and OBJ_DONT_REPARSE is set"),
    create(
        STATUS_ACCESS_DENIED,
        "OBJ_FORCE_ACCESS_CHECK is set and a directory on the way may not be traversed",
    ),
    create(STATUS_INVALID_SECURITY_DESCR, "the security descriptor is malformed"),
    create(
        STATUS_BAD_IMPERSONATION_LEVEL,
        "the quality of service asks for an impersonation level that does not exist",
    ),
    create(STATUS_INSUFFICIENT_RESOURCES, "pool is exhausted"),
    other(
        STATUS_PRIVILEGE_NOT_HELD,
        "ObCreateObjectEx",
        "OBJ_PERMANENT without SeCreatePermanentPrivilege; never through ExCreateCallback, which asks in kernel mode",
    ),
    other(
        STATUS_OBJECT_NAME_EXISTS,
        "ObInsertObjectEx",
        "OBJ_OPENIF found an object; ExCreateCallback goes on and returns STATUS_SUCCESS",
    ),
    other(STATUS_INVALID_PARAMETER_1, "SeRegisterImageVerificationCallback", "the image type is not known"),
    other(
        STATUS_INVALID_PARAMETER_2,
        "SeRegisterImageVerificationCallback",
        "the callback type is not known",
    ),
    other(STATUS_INVALID_PARAMETER_5, "SeRegisterImageVerificationCallback", "the token is not NULL"),
    other(STATUS_NO_MEMORY, "SeRegisterImageVerificationCallback", "ExRegisterCallback returned NULL"),
    other(
        STATUS_ALREADY_COMMITTED,
        "IoRegisterContainerNotification",
        "the same I/O object is registered already",
    ),
    other(
        STATUS_INSUFFICIENT_RESOURCES,
        "IoRegisterContainerNotification",
        "ExRegisterCallback returned NULL",
    ),
];
