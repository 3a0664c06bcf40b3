/* A victim does one deed that a driver must not do, or that only the kernel may do, and says so before and after. Whoever sees `survived` after a deed
 * that kills was told a lie. */
#ifndef VICTIM_H
#define VICTIM_H

#include "ringbell.h"

/* The deed keeps its own frame and its own symbol, so that a report can name it. */
#define DEED __attribute__((noinline)) VOID NTAPI

#define VICTIM(name, deed, what)                                                                \
    RB_EMPTY_UNLOAD(name)                                                                       \
    NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)       \
    {                                                                                           \
        UNREFERENCED_PARAMETER(RegistryPath);                                                   \
        DriverObject->DriverUnload = DriverUnload;                                              \
        DbgPrint(name ": about to " what "\n");                                                 \
        deed();                                                                                 \
        DbgPrint(name ": survived\n");                                                          \
        return STATUS_SUCCESS;                                                                  \
    }

#endif
