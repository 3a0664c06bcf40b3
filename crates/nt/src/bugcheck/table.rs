//! The tables: bugcheck codes and fast-fail codes, ordered by value, with their meaning in one sentence.

bugchecks! {
    /// A system call or a worker's routine ended with APCs disabled out of balance.
    APC_INDEX_MISMATCH = 0x01,
    /// The IRQL was to be raised to a lower one.
    IRQL_NOT_GREATER_OR_EQUAL = 0x09,
    /// Kernel code touched pageable or invalid memory at DISPATCH_LEVEL or above.
    IRQL_NOT_LESS_OR_EQUAL = 0x0A,
    /// A spin lock was acquired that its processor already holds.
    SPIN_LOCK_ALREADY_OWNED = 0x0F,
    /// A spin lock was released that nobody holds.
    SPIN_LOCK_NOT_OWNED = 0x10,
    /// A mutex was released by a thread that does not own it.
    THREAD_NOT_MUTEX_OWNER = 0x11,
    /// An object was dereferenced more often than it was referenced.
    REFERENCE_BY_POINTER = 0x18,
    /// The header of a pool block was overwritten.
    BAD_POOL_HEADER = 0x19,
    /// Memory management found its data damaged.
    MEMORY_MANAGEMENT = 0x1A,
    /// Kernel code raised an exception that nobody handled.
    KMODE_EXCEPTION_NOT_HANDLED = 0x1E,
    /// A thread ended with an APC pending, or with APCs disabled.
    KERNEL_APC_PENDING_DURING_EXIT = 0x20,
    /// The kernel could not complete the first phase of its start.
    PHASE0_INITIALIZATION_FAILED = 0x31,
    /// The kernel could not complete the second phase of its start.
    PHASE1_INITIALIZATION_FAILED = 0x32,
    /// A system service, or code it called, raised an exception that nobody handled.
    SYSTEM_SERVICE_EXCEPTION = 0x3B,
    /// A driver completed a request twice, or one that was not its own.
    MULTIPLE_IRP_COMPLETE_REQUESTS = 0x44,
    /// A system service returned with a raised IRQL.
    IRQL_GT_ZERO_AT_SYSTEM_SERVICE = 0x4A,
    /// Kernel code touched an address that maps to nothing.
    PAGE_FAULT_IN_NONPAGED_AREA = 0x50,
    /// A system thread raised an exception that nobody handled.
    SYSTEM_THREAD_EXCEPTION_NOT_HANDLED = 0x7E,
    /// The processor trapped in a way the kernel has no handling for, such as a double fault or a division by zero.
    UNEXPECTED_KERNEL_MODE_TRAP = 0x7F,
    /// Kernel code raised an exception that nobody handled (32-bit systems).
    KERNEL_MODE_EXCEPTION_NOT_HANDLED = 0x8E,
    /// A driver used an invalid handle while handles are checked.
    INVALID_KERNEL_HANDLE = 0x93,
    /// A kernel stack was still locked when its thread ended.
    KERNEL_STACK_LOCKED_AT_EXIT = 0x94,
    /// A thread tried to wait, or was switched out, at DISPATCH_LEVEL or above.
    ATTEMPTED_SWITCH_FROM_DPC = 0xB8,
    /// A driver tried to write to memory that is read-only.
    ATTEMPTED_WRITE_TO_READONLY_MEMORY = 0xBE,
    /// A driver wrote past the end of a block from special pool.
    SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION = 0xC1,
    /// A driver called a pool routine wrongly: bad IRQL, double free, bad address.
    BAD_POOL_CALLER = 0xC2,
    /// The driver verifier saw a driver break a rule.
    DRIVER_VERIFIER_DETECTED_VIOLATION = 0xC4,
    /// A driver damaged the pool; the damage was found at DISPATCH_LEVEL or above.
    DRIVER_CORRUPTED_EXPOOL = 0xC5,
    /// Memory was freed that still held a timer or DPC in use.
    TIMER_OR_DPC_INVALID = 0xC7,
    /// The IRQL was not what the routine requires.
    IRQL_UNEXPECTED_VALUE = 0xC8,
    /// The I/O verifier saw a driver break a rule.
    DRIVER_VERIFIER_IOMANAGER_VIOLATION = 0xC9,
    /// A driver did not unlock pages that it had locked for a transfer.
    DRIVER_LEFT_LOCKED_PAGES_IN_PROCESS = 0xCB,
    /// Kernel code touched memory that had been freed (special pool).
    PAGE_FAULT_IN_FREED_SPECIAL_POOL = 0xCC,
    /// Kernel code touched memory past the end of a block (special pool).
    PAGE_FAULT_BEYOND_END_OF_ALLOCATION = 0xCD,
    /// Code of an unloaded driver was called: it had left timers, work items, threads or callbacks behind.
    DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS = 0xCE,
    /// A driver damaged the pool.
    DRIVER_CORRUPTED_MMPOOL = 0xD0,
    /// A driver touched pageable or invalid memory at DISPATCH_LEVEL or above.
    DRIVER_IRQL_NOT_LESS_OR_EQUAL = 0xD1,
    /// A driver's own pageable code or data was needed at DISPATCH_LEVEL or above.
    DRIVER_PORTION_MUST_BE_NONPAGED = 0xD3,
    /// Memory of an unloaded driver was touched at DISPATCH_LEVEL or above.
    SYSTEM_SCAN_AT_RAISED_IRQL_CAUGHT_IMPROPER_DRIVER_UNLOAD = 0xD4,
    /// A driver touched memory that it had freed (verifier).
    DRIVER_PAGE_FAULT_IN_FREED_SPECIAL_POOL = 0xD5,
    /// A driver touched memory past the end of a block (verifier).
    DRIVER_PAGE_FAULT_BEYOND_END_OF_ALLOCATION = 0xD6,
    /// System page table entries were used wrongly.
    SYSTEM_PTE_MISUSE = 0xDA,
    /// A worker thread's routine returned with a raised IRQL.
    WORKER_THREAD_RETURNED_AT_BAD_IRQL = 0xE1,
    /// A person ended the system from the keyboard.
    MANUALLY_INITIATED_CRASH = 0xE2,
    /// A resource was released by a thread that does not own it.
    RESOURCE_NOT_OWNED = 0xE3,
    /// A worker queue item was freed, or damaged, while queued.
    WORKER_INVALID = 0xE4,
    /// A process that the system needs ended.
    CRITICAL_PROCESS_DIED = 0xEF,
    /// A stack cookie was overwritten: a driver ran over a buffer on its stack.
    DRIVER_OVERRAN_STACK_BUFFER = 0xF7,
    /// A driver tried to execute memory that is not executable.
    ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY = 0xFC,
    /// Kernel code or protected data was changed; the fourth parameter says what kind of data.
    CRITICAL_STRUCTURE_CORRUPTION = 0x109,
    /// A processor stayed at DISPATCH_LEVEL, or in one DPC, for too long.
    DPC_WATCHDOG_VIOLATION = 0x133,
    /// Kernel code asked to end because a structure was damaged; the first parameter is the fast-fail code.
    KERNEL_SECURITY_CHECK_FAILURE = 0x139,
    /// A thread ended while it held a lock.
    KERNEL_LOCK_ENTRY_LEAKED_ON_THREAD_TERMINATION = 0x153,
    /// A thread released a lock that it had not acquired.
    KERNEL_AUTO_BOOST_INVALID_LOCK_RELEASE = 0x162,
    /// An object's header is damaged or inconsistent, such as a named object without security descriptor.
    BAD_OBJECT_HEADER = 0x189,
}

fast_fail_codes! {
    /// An older stack cookie check failed.
    LEGACY_GS_VIOLATION = 0,
    /// A virtual table was damaged.
    VTGUARD_CHECK_FAILURE = 1,
    /// A stack cookie was overwritten.
    STACK_COOKIE_CHECK_FAILURE = 2,
    /// A list's links did not match.
    CORRUPT_LIST_ENTRY = 3,
    /// The stack pointer was outside the stack.
    INCORRECT_STACK = 4,
    /// An argument was invalid.
    INVALID_ARG = 5,
    /// The stack cookie was not initialized.
    GS_COOKIE_INIT = 6,
    /// The program asked to end.
    FATAL_APP_EXIT = 7,
    /// An index was out of range.
    RANGE_CHECK_FAILURE = 8,
    /// A registry access was unsafe.
    UNSAFE_REGISTRY_ACCESS = 9,
    /// An indirect call went to a target that is not allowed.
    GUARD_ICALL_CHECK_FAILURE = 10,
    /// A write went to a target that is not allowed.
    GUARD_WRITE_CHECK_FAILURE = 11,
    /// A fiber switch was invalid.
    INVALID_FIBER_SWITCH = 12,
    /// A context was invalid.
    INVALID_SET_OF_CONTEXT = 13,
    /// A reference count was invalid.
    INVALID_REFERENCE_COUNT = 14,
    /// A long jump was invalid.
    INVALID_JUMP_BUFFER = 18,
    /// Read-only data was changed.
    MRDATA_MODIFIED = 19,
    /// Certification failed.
    CERTIFICATION_FAILURE = 20,
    /// An exception chain was invalid.
    INVALID_EXCEPTION_CHAIN = 21,
    /// A cryptographic library failed.
    CRYPTO_LIBRARY = 22,
    /// A library was called where it must not be.
    INVALID_CALL_IN_DLL_CALLOUT = 23,
    /// An image base was invalid.
    INVALID_IMAGE_BASE = 24,
    /// A delayed import could not be protected.
    DLOAD_PROTECTION_FAILURE = 25,
    /// A call to an extension was unsafe.
    UNSAFE_EXTENSION_CALL = 26,
    /// A service that is no longer supported was called.
    DEPRECATED_SERVICE_INVOKED = 27,
    /// A buffer was accessed out of bounds.
    INVALID_BUFFER_ACCESS = 28,
    /// A balanced tree was damaged.
    INVALID_BALANCED_TREE = 29,
    /// The next thread was invalid.
    INVALID_NEXT_THREAD = 30,
    /// An indirect call went to a target whose check is suppressed.
    GUARD_ICALL_CHECK_SUPPRESSED = 31,
    /// APCs stayed disabled where they must not be.
    APCS_DISABLED = 32,
    /// The idle state was invalid.
    INVALID_IDLE_STATE = 33,
    /// Read-only data could not be protected.
    MRDATA_PROTECTION_FAILURE = 34,
    /// An exception was not expected.
    UNEXPECTED_HEAP_EXCEPTION = 35,
    /// A lock was in an invalid state.
    INVALID_LOCK_STATE = 36,
}
