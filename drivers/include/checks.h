/* A fixture checks what it is given by the kernel, one line per check: `ok: …` or `FAIL: …`, and fails to load where anything failed. What it
 * expects is what Windows documents, or what a WDM driver relies on. */
#ifndef CHECKS_H
#define CHECKS_H

#include "ringbell.h"

/* Not in .bss: an image of low alignment must lie in memory exactly as in the file. */
__attribute__((section(".data"))) static ULONG ChecksMade;
__attribute__((section(".data"))) static ULONG ChecksFailed;

static inline BOOLEAN RbCheck(BOOLEAN good, PCSTR what, ULONG line)
{
    ChecksMade += 1;
    if (good) {
        DbgPrint("ok: %s\n", what);
    } else {
        ChecksFailed += 1;
        DbgPrint("FAIL: %s (line %lu)\n", what, line);
    }
    return good;
}

static inline BOOLEAN RbEqual(ULONG64 actual, ULONG64 expected, PCSTR what, ULONG line)
{
    ChecksMade += 1;
    if (actual == expected) {
        DbgPrint("ok: %s\n", what);
    } else {
        ChecksFailed += 1;
        DbgPrint("FAIL: %s: got %I64x, expected %I64x (line %lu)\n", what, actual, expected, line);
    }
    return actual == expected;
}

/* A condition that must hold. */
#define CHECK(condition, what) RbCheck((condition) ? TRUE : FALSE, what, __LINE__)
/* Two values that must be the same; both are printed where they are not. */
#define EQUAL(actual, expected, what) RbEqual((ULONG64)(actual), (ULONG64)(expected), what, __LINE__)
/* A status: sign extension would only clutter the report. */
#define STATUS(actual, expected, what) RbEqual((ULONG)(actual), (ULONG)(expected), what, __LINE__)

/* 100 ns units, negative for "from now". */
#define MILLISECONDS(count) (-10000LL * (count))
#define SECONDS(count) MILLISECONDS(1000LL * (count))

#define FIXTURE(name, checks)                                                               \
    RB_EMPTY_UNLOAD(name)                                                                   \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)   \
    {                                                                                       \
        DriverObject->DriverUnload = DriverUnload;                                          \
        checks(DriverObject, RegistryPath);                                                 \
        DbgPrint(name ": %lu checks, %lu failed\n", ChecksMade, ChecksFailed);              \
        return ChecksFailed == 0 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;                    \
    }

#endif
