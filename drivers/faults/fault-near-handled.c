/* fault-near-handled: the near miss. It needs as much as the others, asks a second time for less where the first allocation fails (a path that appears
 * only behind that failure), and gives back what it has on every way out. */
#include "ringbell.h"

#define TAG 'hnFR'

static PVOID Block;
static PCALLBACK_OBJECT Object;
static PVOID Registration;

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
}

static VOID GiveBack(VOID)
{
    if (Registration != NULL) {
        ExUnregisterCallback(Registration);
    }
    if (Object != NULL) {
        ObDereferenceObject(Object);
    }
    ExFreePoolWithTag(Block, TAG);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    GiveBack();
    DbgPrint("fault-near-handled: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES unnamed;
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    Block = ExAllocatePoolWithTag(NonPagedPoolNx, 4096, TAG);
    if (Block == NULL) {
        DbgPrint("fault-near-handled: makes do with less\n");
        Block = ExAllocatePoolWithTag(NonPagedPoolNx, 64, TAG);
    }
    if (Block == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    status = ExCreateCallback(&Object, &unnamed, TRUE, TRUE);
    if (!NT_SUCCESS(status)) {
        Object = NULL;
        GiveBack();
        return status;
    }
    Registration = ExRegisterCallback(Object, OnRing, NULL);
    if (Registration == NULL) {
        GiveBack();
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_SUCCESS;
}
