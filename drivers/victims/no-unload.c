/* no-unload: loads and sets no DriverUnload: it cannot be unloaded, so nothing can be said about its departure. */
#include "ringbell.h"

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    DbgPrint("no-unload: here to stay\n");
    return STATUS_SUCCESS;
}
