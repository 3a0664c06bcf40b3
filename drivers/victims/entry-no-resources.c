/* entry-no-resources: DriverEntry fails halfway and cleans up what it had: nothing is left. */
#include "ringbell.h"

#define TAG 'seRN'

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, 0x100, TAG);

    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    if (block != NULL) {
        ExFreePoolWithTag(block, TAG);
    }
    DbgPrint("entry-no-resources: giving up\n");
    return STATUS_INSUFFICIENT_RESOURCES;
}
