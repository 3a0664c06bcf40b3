/* fault-raised: a driver that takes a call for one that returns NULL: what ExAllocatePoolWithQuotaTag cannot give it says by an exception, and nobody
 * here is prepared for one. Everything else is guarded. */
#include "seh.h"

#define TAG 'arFR'

static PVOID Table, Names;

/* The right way: asked to return, it does. */
static __attribute__((noinline, noclone)) PVOID Returned(SIZE_T bytes)
{
    return ExAllocatePoolWithQuotaTag(NonPagedPoolNx | POOL_QUOTA_FAIL_INSTEAD_OF_RAISE, bytes, TAG);
}

static __attribute__((noinline, noclone)) PVOID Raised(SIZE_T bytes)
{
    return ExAllocatePoolWithQuotaTag(NonPagedPoolNx, bytes, TAG);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ExFreePoolWithTag(Names, TAG);
    ExFreePoolWithTag(Table, TAG);
    DbgPrint("fault-raised: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    Table = Returned(64);
    if (Table == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Names = Raised(128);
    if (Names == NULL) {
        ExFreePoolWithTag(Table, TAG);
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    return STATUS_SUCCESS;
}
