/* fault-in-routine: listens on \Callback\callbackbopin and faults when rung. With `ringer` after it the fault has two drivers on the stack: the report
 * must name this one. */
#include "ringbell.h"

PCALLBACK_OBJECT FaultyObject;
PVOID FaultyRegistration;

VOID NTAPI FaultyRoutine(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    DbgPrint("fault-in-routine: rung, about to write to %p\n", Argument2);
    *(volatile ULONG *)Argument2 = 0xDEADBEEF;
    DbgPrint("fault-in-routine: survived\n");
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ExUnregisterCallback(FaultyRegistration);
    ObMakeTemporaryObject(FaultyObject);
    ObDereferenceObject(FaultyObject);
    DbgPrint("fault-in-routine: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    status = RbCallback(&FaultyObject, BOPIN_NAME, OBJ_PERMANENT | OBJ_CASE_INSENSITIVE, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    FaultyRegistration = ExRegisterCallback(FaultyObject, FaultyRoutine, NULL);
    DriverObject->DriverUnload = DriverUnload;
    DbgPrint("fault-in-routine: listening on %ws\n", BOPIN_NAME);
    return STATUS_SUCCESS;
}
