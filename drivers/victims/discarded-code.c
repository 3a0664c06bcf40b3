/* discarded-code: calls a function of its INIT section from DriverUnload, long after the kernel discarded that section. */
#include "ringbell.h"

__attribute__((section("INIT"), noinline)) VOID NTAPI OnlyAtStart(ULONG Value)
{
    DbgPrint("discarded-code: value %lu\n", Value);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    DbgPrint("discarded-code: about to call discarded code\n");
    OnlyAtStart(2);
    DbgPrint("discarded-code: survived\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    OnlyAtStart(1);
    return STATUS_SUCCESS;
}
