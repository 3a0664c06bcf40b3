/*
 * race-context-freed: takes away what its routine works on before it takes away the routine.
 *
 * Wrong: DriverUnload frees the context first and unregisters second. Until ExUnregisterCallback has returned, the routine may be running, and may be
 * called once more; that both are over is exactly what its return promises.
 *
 * The schedule that breaks it:
 *
 *     ringing thread                                      unloading thread
 *     ExNotifyCallback calls OnRing(context)
 *     OnRing prints its line
 *                                                         ExFreePoolWithTag(context)
 *     OnRing follows context->Total: use after free
 *                                                         ExUnregisterCallback: too late
 *
 * It takes an unload within the microseconds of a ring, so the driver passes every test that does not look for it. `race-context-freed-fixed` is right.
 */
#include "threads.h"

#define TAG 'cFcR'
#define RINGS 4

typedef struct _LISTENER {
    PULONG Total;
    ULONG Own;
} LISTENER, *PLISTENER;

static PCALLBACK_OBJECT Bell;
static PVOID Registration;
static PLISTENER Listener;
static PETHREAD Ringer;
static ULONG TotalRings;

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PLISTENER listener = Context;

    UNREFERENCED_PARAMETER(Argument2);
    DbgPrint("race-context-freed: ring %p\n", Argument1);
    *listener->Total += 1;
    listener->Own += 1;
}

VOID NTAPI RingingThread(PVOID StartContext)
{
    ULONG_PTR ring;

    UNREFERENCED_PARAMETER(StartContext);
    for (ring = 1; ring <= RINGS; ring += 1) {
        ExNotifyCallback(Bell, (PVOID)ring, NULL);
    }
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ExFreePoolWithTag(Listener, TAG);
    ExUnregisterCallback(Registration);
    RbJoinThread(Ringer);
    ObDereferenceObject(Bell);
    DbgPrint("race-context-freed: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES where;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    Listener = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Listener), TAG);
    if (Listener == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Listener->Total = &TotalRings;
    Listener->Own = 0;
    InitializeObjectAttributes(&where, NULL, 0, NULL, NULL);
    status = ExCreateCallback(&Bell, &where, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        ExFreePoolWithTag(Listener, TAG);
        return status;
    }
    Registration = ExRegisterCallback(Bell, OnRing, Listener);
    if (Registration == NULL) {
        ObDereferenceObject(Bell);
        ExFreePoolWithTag(Listener, TAG);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Ringer = RbStartThread(RingingThread, NULL);
    return STATUS_SUCCESS;
}
