/* fault-unchecked: a driver that works, and forgets in one place to look at what an allocation came to. Where the second one fails it writes to
 * NULL. */
#include "ringbell.h"

#define TAG 'kcFR'

static PULONG Table, Names;

static __attribute__((noinline)) PVOID Allocate(SIZE_T bytes)
{
    return ExAllocatePoolWithTag(NonPagedPoolNx, bytes, TAG);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ExFreePoolWithTag(Names, TAG);
    ExFreePoolWithTag(Table, TAG);
    DbgPrint("fault-unchecked: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    Table = Allocate(64);
    if (Table == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Names = Allocate(128);
    Names[3] = 1;
    return STATUS_SUCCESS;
}
