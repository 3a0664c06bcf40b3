/*
 * hasty-listener: as `listener`, but it counts in a block of pool and frees that before it unregisters.
 *
 * Wrong: until ExUnregisterCallback has returned, the routine may be running, and may be called once more. Rung before it is asked to leave, or
 * after it left, nothing happens; only a ring that is under way just then shows it, and no test that does one thing after the other will. The
 * scenario `ring-and-unload.toml` does both at once.
 */
#include "ringbell.h"

#define TAG 'ytsH'

typedef struct {
    PULONG Rings;
} LISTENER, *PLISTENER;

static PCALLBACK_OBJECT Object;
static PVOID Registration;
static PLISTENER Listener;
static ULONG TotalRings;

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PLISTENER listener = Context;

    UNREFERENCED_PARAMETER(Argument2);
    DbgPrint("hasty-listener: rung with %p\n", Argument1);
    *listener->Rings += 1;
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);

    ExFreePoolWithTag(Listener, TAG);
    ExUnregisterCallback(Registration);
    ObMakeTemporaryObject(Object);
    ObDereferenceObject(Object);
    DbgPrint("hasty-listener: left after %lu ring(s)\n", TotalRings);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    Listener = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Listener), TAG);
    if (Listener == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Listener->Rings = &TotalRings;
    status = RbCallback(&Object, BOPIN_NAME, OBJ_PERMANENT | OBJ_CASE_INSENSITIVE, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        ExFreePoolWithTag(Listener, TAG);
        return status;
    }
    Registration = ExRegisterCallback(Object, OnRing, Listener);
    if (Registration == NULL) {
        ObMakeTemporaryObject(Object);
        ObDereferenceObject(Object);
        ExFreePoolWithTag(Listener, TAG);
        return STATUS_UNSUCCESSFUL;
    }
    return STATUS_SUCCESS;
}
