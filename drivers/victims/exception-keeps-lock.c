/*
 * exception-keeps-lock: as exception-cut-short, but rings at DISPATCH_LEVEL, where the object's spin lock is held across the calls. The exception
 * leaves it held, and the next ring spins forever.
 */
#include "seh.h"
#include "victim.h"

static PCALLBACK_OBJECT Object;
static volatile ULONG Divisor;

VOID NTAPI Divides(PVOID context, PVOID argument1, PVOID argument2)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    Divisor = 118 / Divisor;
}

SEH_FUNCTION ULONG Ring(VOID)
{
    SEH_TABLE(1, SEH_EXCEPT_ALL(ring, 0), caught);
    SEH_TRY(ring, caught);
    ExNotifyCallback(Object, NULL, NULL);
    SEH_END(ring);
    return 0;
caught:
    return 1;
}

DEED RingTwice(VOID)
{
    OBJECT_ATTRIBUTES unnamed;
    KIRQL old;
    ULONG caught;

    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    if (!NT_SUCCESS(ExCreateCallback(&Object, &unnamed, TRUE, TRUE)) || ExRegisterCallback(Object, Divides, NULL) == NULL) {
        return;
    }
    KeRaiseIrql(DISPATCH_LEVEL, &old);
    caught = Ring();
    DbgPrint("exception-keeps-lock: caught %lu, IRQL %u, lock %lu\n", caught, KeGetCurrentIrql(), (ULONG)*(volatile KSPIN_LOCK *)((PUCHAR)Object + 8));
    KeLowerIrql(old);
    ExNotifyCallback(Object, NULL, NULL);
}

VICTIM("exception-keeps-lock", RingTwice, "leave a ring at DISPATCH_LEVEL by an exception")
