/*
 * race-context-freed-fixed: the twin of `race-context-freed` that is right: it unregisters first and frees what the routine worked on afterward.
 *
 * ExUnregisterCallback waits for a routine that is running, and nobody calls the routine again once it is on its way: a notify that comes to this
 * registration meanwhile passes it over. When it returns, the context is this thread's alone, in every schedule.
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
    DbgPrint("race-context-freed-fixed: ring %p\n", Argument1);
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
    ExUnregisterCallback(Registration);
    ExFreePoolWithTag(Listener, TAG);
    RbJoinThread(Ringer);
    ObDereferenceObject(Bell);
    DbgPrint("race-context-freed-fixed: unloaded\n");
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
