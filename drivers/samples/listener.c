/*
 * listener: the well-behaved half of the demo. It creates \Callback\callbackbopin, listens on it, and leaves nothing behind.
 *
 * The object is named, so it needs OBJ_PERMANENT: without it the name is gone before ExCreateCallback returns. What is made permanent
 * must be made temporary again by the one who leaves, or the object outlives the driver.
 */
#include "ringbell.h"

typedef struct {
    PCALLBACK_OBJECT Object;
    PVOID Registration;
    ULONG Rings;
} LISTENER;

LISTENER Listener;

VOID NTAPI ListenerRoutine(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    LISTENER *listener = Context;

    listener->Rings += 1;
    DbgPrint("listener: rung, context %p, arguments %p and %p, ring %lu\n", Context, Argument1, Argument2,
             listener->Rings);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);

    /* The order matters: after the first call the routine is not running and never will be; only then may its code go. */
    ExUnregisterCallback(Listener.Registration);
    ObMakeTemporaryObject(Listener.Object);
    ObDereferenceObject(Listener.Object);
    DbgPrint("listener: left after %lu ring(s)\n", Listener.Rings);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    status = RbCallback(&Listener.Object, BOPIN_NAME, OBJ_PERMANENT | OBJ_CASE_INSENSITIVE, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        DbgPrint("listener: ExCreateCallback failed with %08lx\n", status);
        return status;
    }

    Listener.Registration = ExRegisterCallback(Listener.Object, ListenerRoutine, &Listener);
    if (Listener.Registration == NULL) {
        DbgPrint("listener: ExRegisterCallback refused\n");
        ObMakeTemporaryObject(Listener.Object);
        ObDereferenceObject(Listener.Object);
        return STATUS_UNSUCCESSFUL;
    }

    DriverObject->DriverUnload = DriverUnload;
    DbgPrint("listener: listening on %ws\n", BOPIN_NAME);
    return STATUS_SUCCESS;
}
