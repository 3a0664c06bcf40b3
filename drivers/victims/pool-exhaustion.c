/* pool-exhaustion: takes pool a mebibyte at a time until it is refused, gives everything back, and fails politely: not a crash. */
#include "ringbell.h"

#define TAG 'gohP'
#define CHUNK (1024 * 1024)
#define MANY 65536

RB_EMPTY_UNLOAD("pool-exhaustion")

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    SINGLE_LIST_ENTRY taken = { NULL };
    ULONG count;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    DbgPrint("pool-exhaustion: about to take pool until it is refused\n");

    for (count = 0; count < MANY; count++) {
        PSINGLE_LIST_ENTRY chunk = ExAllocatePoolWithTag(NonPagedPoolNx, CHUNK, TAG);

        if (chunk == NULL) {
            break;
        }
        PushEntryList(&taken, chunk);
    }
    while (taken.Next != NULL) {
        ExFreePoolWithTag(PopEntryList(&taken), TAG);
    }
    if (count == MANY) {
        DbgPrint("pool-exhaustion: never refused\n");
        return STATUS_SUCCESS;
    }
    DbgPrint("pool-exhaustion: refused, all given back\n");
    return STATUS_INSUFFICIENT_RESOURCES;
}
