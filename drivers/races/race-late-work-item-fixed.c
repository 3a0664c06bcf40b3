/*
 * race-late-work-item-fixed: the twin of `race-late-work-item` that is right: its work items belong to a device.
 *
 * IoQueueWorkItem references the device until the work routine has returned, the device references its driver, and Windows unmaps an image only when
 * nobody references its driver any more. So DriverUnload may return with work still queued: the image stays until the worker has come back from it. No
 * event that the driver sets itself could say as much, because whoever sets it is still running in the driver.
 */
#include "threads.h"

static PCALLBACK_OBJECT Bell;
static PVOID Registration;
static PETHREAD Ringer;
static PDEVICE_OBJECT Device;

VOID NTAPI OnWork(PDEVICE_OBJECT DeviceObject, PVOID Context)
{
    UNREFERENCED_PARAMETER(DeviceObject);
    DbgPrint("race-late-work-item-fixed: working\n");
    IoFreeWorkItem(Context);
}

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    PIO_WORKITEM item;

    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    item = IoAllocateWorkItem(Device);
    if (item != NULL) {
        IoQueueWorkItem(item, OnWork, DelayedWorkQueue, item);
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
    IoDeleteDevice(Device);
    ObDereferenceObject(Bell);
    DbgPrint("race-late-work-item-fixed: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES where;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    status = IoCreateDevice(DriverObject, 0, NULL, FILE_DEVICE_UNKNOWN, 0, FALSE, &Device);
    if (!NT_SUCCESS(status)) {
        return status;
    }
    InitializeObjectAttributes(&where, NULL, 0, NULL, NULL);
    status = ExCreateCallback(&Bell, &where, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        IoDeleteDevice(Device);
        return status;
    }
    Registration = ExRegisterCallback(Bell, OnRing, NULL);
    if (Registration == NULL) {
        ObDereferenceObject(Bell);
        IoDeleteDevice(Device);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Ringer = RbStartThread(RingingThread, NULL);
    return STATUS_SUCCESS;
}
