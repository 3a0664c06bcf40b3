/* fault-in-unload: faults on the way out, after a faultless life. */
#include "ringbell.h"

PULONG volatile AlreadyFreed;

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    DbgPrint("fault-in-unload: about to write through NULL\n");
    *AlreadyFreed = 0;
    DbgPrint("fault-in-unload: survived\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    DbgPrint("fault-in-unload: loaded\n");
    return STATUS_SUCCESS;
}
