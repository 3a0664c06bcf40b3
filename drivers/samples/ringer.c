/*
 * ringer: the other half of the demo. It opens \Callback\callbackbopin by name, rings it once at PASSIVE_LEVEL, and lets go.
 *
 * It never creates the object: where nobody listens it reports the status of the open and refuses to load.
 */
#include "ringbell.h"

#define ARGUMENT1 ((PVOID)(ULONG_PTR)0x1122334455667788)
#define ARGUMENT2 ((PVOID)(ULONG_PTR)0x0000000000C0FFEE)

RB_EMPTY_UNLOAD("ringer")

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PCALLBACK_OBJECT object;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    status = RbCallback(&object, BOPIN_NAME, OBJ_CASE_INSENSITIVE, FALSE, TRUE);
    if (!NT_SUCCESS(status)) {
        DbgPrint("ringer: cannot open %ws: %08lx\n", BOPIN_NAME, status);
        return status;
    }

    DbgPrint("ringer: ringing %ws with %p and %p\n", BOPIN_NAME, ARGUMENT1, ARGUMENT2);
    ExNotifyCallback(object, ARGUMENT1, ARGUMENT2);
    ObDereferenceObject(object);

    DriverObject->DriverUnload = DriverUnload;
    DbgPrint("ringer: rang\n");
    return STATUS_SUCCESS;
}
