/* entry-not-connected: DriverEntry fails: its device is not there. The driver is not loaded, and that is all. */
#include "ringbell.h"

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    DbgPrint("entry-not-connected: no device\n");
    return STATUS_DEVICE_NOT_CONNECTED;
}
