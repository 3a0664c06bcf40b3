/*
 * race-two-registrants: two threads want the one place on an object that admits one routine.
 *
 * Wrong: each thread takes it for granted that its ExRegisterCallback succeeded. On an object made with AllowMultipleCallbacks FALSE it returns NULL
 * while somebody else is registered, and there is no status that says so.
 *
 * The schedule that breaks it:
 *
 *     first session                                       second session
 *     ExRegisterCallback returns a registration
 *                                                         ExRegisterCallback returns NULL
 *                                                         rings, and its own routine is not called
 *                                                         ExUnregisterCallback(NULL): a fault
 *
 * A session is short and the second one starts later, so they hardly ever meet. `race-two-registrants-fixed` is right.
 */
#include "threads.h"

#define SESSIONS 2

typedef struct _SESSION {
    PETHREAD Thread;
    ULONG Rings;
} SESSION, *PSESSION;

static PCALLBACK_OBJECT Bell;
static SESSION Sessions[SESSIONS];

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

    registration = ExRegisterCallback(Bell, OnRing, StartContext);
    ExNotifyCallback(Bell, NULL, NULL);
    ExUnregisterCallback(registration);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    ULONG index;

    UNREFERENCED_PARAMETER(DriverObject);
    for (index = 0; index < SESSIONS; index += 1) {
        RbJoinThread(Sessions[index].Thread);
        DbgPrint("race-two-registrants: session %lu was rung %lu times\n", index, Sessions[index].Rings);
    }
    ObDereferenceObject(Bell);
    DbgPrint("race-two-registrants: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES where;
    NTSTATUS status;
    ULONG index;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
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
