/*
 * race-unregister-under-lock: unregisters while it holds a lock that its routine takes.
 *
 * Wrong: ExUnregisterCallback waits until the routine has returned. A routine that is waiting for the caller's lock never does.
 *
 * The schedule that breaks it:
 *
 *     ringing thread                                      unloading thread
 *     ExNotifyCallback calls OnRing
 *                                                         ExAcquireFastMutex(&Lock)
 *     OnRing: ExAcquireFastMutex(&Lock) waits for the unloading thread
 *                                                         ExUnregisterCallback waits for OnRing
 *
 * Neither of them ever goes on. Where the routine has taken the lock before the unloading thread asks for it, or has not been called yet, nothing
 * happens. `race-unregister-under-lock-fixed` is right.
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
    UNREFERENCED_PARAMETER(DriverObject);
    ExAcquireFastMutex(&Lock);
    if (Registration != NULL) {
        ExUnregisterCallback(Registration);
        Registration = NULL;
    }
    ExReleaseFastMutex(&Lock);
    RbJoinThread(Ringer);
    ObDereferenceObject(Bell);
    DbgPrint("race-unregister-under-lock: unloaded after %lu rings\n", Rings);
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
