/* fault-near-raised: the near miss of fault-raised. Every call that raises where it fails stands in a __try, whose __except or __finally gives back what there
 * is: pool with quota, pool that is asked to raise, a list whose pages are locked, a probed address; one of them at DISPATCH_LEVEL. */
#include "seh.h"

#define TAG 'nrFR'
#define FLAG_RAISE_ON_FAILURE 0x20ULL
#define FLAG_NON_PAGED 0x40ULL

NTKERNELAPI PVOID NTAPI ExAllocatePool2(ULONG64 Flags, SIZE_T NumberOfBytes, ULONG Tag);

static PVOID volatile Table, Names, Extra;
static PMDL volatile List;
static volatile ULONG Locked;
static volatile NTSTATUS Code;

static VOID GiveBack(VOID)
{
    if (Locked) {
        MmUnlockPages(List);
    }
    if (List != NULL) {
        IoFreeMdl(List);
    }
    if (Extra != NULL) {
        ExFreePoolWithTag(Extra, TAG);
    }
    if (Names != NULL) {
        ExFreePoolWithTag(Names, TAG);
    }
    if (Table != NULL) {
        ExFreePoolWithTag(Table, TAG);
    }
}

/* Takes what the documentation names, and nothing else. */
SEH_ROUTINE LONG NTAPI Filter(PEXCEPTION_POINTERS pointers, PVOID frame)
{
    UNREFERENCED_PARAMETER(frame);
    Code = pointers->ExceptionRecord->ExceptionCode;
    if (Code == STATUS_INSUFFICIENT_RESOURCES || Code == STATUS_ACCESS_VIOLATION) {
        return EXCEPTION_EXECUTE_HANDLER;
    }
    return EXCEPTION_CONTINUE_SEARCH;
}

static volatile KIRQL Old;

SEH_ROUTINE VOID NTAPI Lower(BOOLEAN abnormal, PVOID frame)
{
    UNREFERENCED_PARAMETER(frame);
    if (abnormal) {
        DbgPrint("fault-near-raised: nothing to be had at IRQL %u\n", KeGetCurrentIrql());
    }
    KeLowerIrql(Old);
}

SEH_FUNCTION VOID AtDispatch(VOID)
{
    KIRQL old;

    SEH_TABLE_FINALLY(1, SEH_FINALLY(raised_irql, Lower));
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    Old = old;
    __asm__ volatile(".Lseh_raised_irql_begin:" : : : "memory");
    Extra = ExAllocatePool2(FLAG_NON_PAGED | FLAG_RAISE_ON_FAILURE, 32, TAG);
    SEH_END(raised_irql);
    Lower(FALSE, NULL);
}

/* What returns NULL is made to raise like the others. A function of its own: gcc moves calls that do not return out of the block. */
static __attribute__((noinline, noclone)) PMDL NewList(VOID)
{
    PMDL list = IoAllocateMdl(Table, 64, FALSE, FALSE, NULL);

    if (list == NULL) {
        ExRaiseStatus(STATUS_INSUFFICIENT_RESOURCES);
    }
    return list;
}

SEH_FUNCTION NTSTATUS Take(VOID)
{
    SEH_TABLE(1, SEH_EXCEPT(take, Filter, 0), caught);
    SEH_TRY(take, caught);
    Table = ExAllocatePoolWithQuotaTag(NonPagedPoolNx, 64, TAG);
    Names = ExAllocatePoolWithTagPriority(NonPagedPoolNx | POOL_RAISE_IF_ALLOCATION_FAILURE, 128, TAG, NormalPoolPriority);
    AtDispatch();
    List = NewList();
    MmProbeAndLockPages(List, KernelMode, IoWriteAccess);
    Locked = 1;
    ProbeForRead((PVOID)(ULONG_PTR)0x20000, 64, 1);
    SEH_END(take);
    return STATUS_SUCCESS;
caught:
    return Code;
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    GiveBack();
    DbgPrint("fault-near-raised: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    status = Take();
    if (!NT_SUCCESS(status)) {
        DbgPrint("fault-near-raised: gives up with %08lX\n", (ULONG)status);
        GiveBack();
    }
    return status;
}
