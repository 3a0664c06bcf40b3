/* entry-fails-registered: DriverEntry fails after it registered and does not clean up. Its image goes, its routine stays on \Callback\callbackbopin: the
 * next ring jumps into nothing. */
#include "ringbell.h"

VOID NTAPI OrphanRoutine(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    DbgPrint("entry-fails-registered: rung %p %p %p\n", Context, Argument1, Argument2);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    PCALLBACK_OBJECT object;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    status = RbCallback(&object, BOPIN_NAME, OBJ_PERMANENT | OBJ_CASE_INSENSITIVE, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    ExRegisterCallback(object, OrphanRoutine, NULL);
    ObDereferenceObject(object);
    DbgPrint("entry-fails-registered: registered, and failing\n");
    return STATUS_DEVICE_CONFIGURATION_ERROR;
}
