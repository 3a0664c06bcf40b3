/* fault-leak: a driver that checks everything, and forgets on one way out what it has already: where its registration fails, the pool block and the
 * reference to the object stay. */
#include "ringbell.h"

#define TAG 'klFR'

static PVOID Block;
static PCALLBACK_OBJECT Object;
static PVOID Registration;

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ExUnregisterCallback(Registration);
    ObDereferenceObject(Object);
    ExFreePoolWithTag(Block, TAG);
    DbgPrint("fault-leak: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES unnamed;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    Block = ExAllocatePoolWithTag(NonPagedPoolNx, 64, TAG);
    if (Block == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    status = ExCreateCallback(&Object, &unnamed, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        ExFreePoolWithTag(Block, TAG);
        return status;
    }
    Registration = ExRegisterCallback(Object, OnRing, NULL);
    if (Registration == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_SUCCESS;
}
