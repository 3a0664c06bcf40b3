/*
 * race-late-work-item: leaves while a work item that it queued has not run.
 *
 * Wrong: DriverUnload waits for the routine and for its thread, but nobody waits for what the routine queued. ExQueueWorkItem keeps no reference on the
 * driver: the worker thread calls the address it was given, whatever is there by then.
 *
 * The schedule that breaks it:
 *
 *     unloading thread                                    system worker
 *     OnRing has queued the item
 *     DriverUnload returns, the image is unmapped
 *                                                         calls OnWork: there is no code there any more
 *
 * Worker threads are quick, and as a rule the item has run long before. An event that OnWork sets as its last deed would not do: the worker may lose the
 * processor behind KeSetEvent and return into nothing. `race-late-work-item-fixed` is right.
 */
#include "threads.h"

#define TAG 'iWcR'

static PCALLBACK_OBJECT Bell;
static PVOID Registration;
static PETHREAD Ringer;

VOID NTAPI OnWork(PVOID Parameter)
{
    DbgPrint("race-late-work-item: working\n");
    ExFreePoolWithTag(Parameter, TAG);
}

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PWORK_QUEUE_ITEM item;

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    item = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*item), TAG);
    if (item != NULL) {
        ExInitializeWorkItem(item, OnWork, item);
        ExQueueWorkItem(item, DelayedWorkQueue);
    }
}

VOID NTAPI RingingThread(PVOID StartContext)
{
    UNREFERENCED_PARAMETER(StartContext);
    ExNotifyCallback(Bell, NULL, NULL);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ExUnregisterCallback(Registration);
    RbJoinThread(Ringer);
    ObDereferenceObject(Bell);
    DbgPrint("race-late-work-item: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES where;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
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
