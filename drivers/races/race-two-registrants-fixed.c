/*
 * race-two-registrants-fixed: the twin of `race-two-registrants` that is right: sessions take turns, and a refusal is looked at.
 *
 * The place on the object is one, so whoever wants it waits for the other's session to end. The mutex only orders the driver's own threads: anybody else
 * who can open the object could hold the place, and memory can run out, so NULL is still possible and ends the session.
 */
#include "threads.h"

#define SESSIONS 2

typedef struct _SESSION {
    PETHREAD Thread;
    ULONG Rings;
} SESSION, *PSESSION;

static PCALLBACK_OBJECT Bell;
static SESSION Sessions[SESSIONS];
static KMUTEX Turn;

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PSESSION session = Context;

    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    session->Rings += 1;
}

VOID NTAPI SessionThread(PVOID StartContext)
{
    PVOID registration;

    KeWaitForSingleObject(&Turn, Executive, KernelMode, FALSE, NULL);
    registration = ExRegisterCallback(Bell, OnRing, StartContext);
    if (registration != NULL) {
        ExNotifyCallback(Bell, NULL, NULL);
        ExUnregisterCallback(registration);
    }
    KeReleaseMutex(&Turn, FALSE);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    ULONG index;

    UNREFERENCED_PARAMETER(DriverObject);
    for (index = 0; index < SESSIONS; index += 1) {
        RbJoinThread(Sessions[index].Thread);
        DbgPrint("race-two-registrants-fixed: session %lu was rung %lu times\n", index, Sessions[index].Rings);
    }
    ObDereferenceObject(Bell);
    DbgPrint("race-two-registrants-fixed: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES where;
    NTSTATUS status;
    ULONG index;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    KeInitializeMutex(&Turn, 0);
    InitializeObjectAttributes(&where, NULL, 0, NULL, NULL);
    status = ExCreateCallback(&Bell, &where, TRUE, FALSE);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    for (index = 0; index < SESSIONS; index += 1) {
        Sessions[index].Thread = RbStartThread(SessionThread, &Sessions[index]);
    }
    return STATUS_SUCCESS;
}
