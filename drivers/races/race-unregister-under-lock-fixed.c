/*
 * race-unregister-under-lock-fixed: the twin of `race-unregister-under-lock` that is right: the lock protects the variable, not the call.
 *
 * Under the lock the registration is only taken out of the variable: whoever comes later finds NULL, so it is unregistered once. The call that waits for
 * the routine is made with no lock held that the routine takes, so the routine always comes to its end.
 */
#include "threads.h"

#define RINGS 4

static PCALLBACK_OBJECT Bell;
static PVOID Registration;
FAST_MUTEX Lock;
static PETHREAD Ringer;
static ULONG Rings;

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    ExAcquireFastMutex(&Lock);
    Rings += 1;
    ExReleaseFastMutex(&Lock);
}

VOID NTAPI RingingThread(PVOID StartContext)
{
    ULONG ring;

    UNREFERENCED_PARAMETER(StartContext);
    for (ring = 0; ring < RINGS; ring += 1) {
        ExNotifyCallback(Bell, NULL, NULL);
    }
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    PVOID registration;

    UNREFERENCED_PARAMETER(DriverObject);
    ExAcquireFastMutex(&Lock);
    registration = Registration;
    Registration = NULL;
    ExReleaseFastMutex(&Lock);
    if (registration != NULL) {
        ExUnregisterCallback(registration);
    }
    RbJoinThread(Ringer);
    ObDereferenceObject(Bell);
    DbgPrint("race-unregister-under-lock-fixed: unloaded after %lu rings\n", Rings);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES where;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    ExInitializeFastMutex(&Lock);
    InitializeObjectAttributes(&where, NULL, 0, NULL, NULL);
    status = ExCreateCallback(&Bell, &where, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    Registration = ExRegisterCallback(Bell, OnRing, NULL);
    if (Registration == NULL) {
        ObDereferenceObject(Bell);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Ringer = RbStartThread(RingingThread, NULL);
    return STATUS_SUCCESS;
}
