/*
 * exception-cut-short: rings an object inside __try; the first of two routines faults, and the __except of the ringing function takes the exception.
 * Nobody finishes the ring: the second routine is not called, and the registration of the first one stays busy. Its unregistration waits forever.
 */
#include "seh.h"
#include "victim.h"

static PCALLBACK_OBJECT Object;
static PVOID First, Second;
static volatile ULONG Reached;

VOID NTAPI Faulty(PVOID context, PVOID argument1, PVOID argument2)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    *(volatile ULONG *)argument2 = 0xDEADBEEF;
}

VOID NTAPI Harmless(PVOID context, PVOID argument1, PVOID argument2)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    Reached += 1;
}

SEH_FUNCTION ULONG Ring(PVOID argument)
{
    SEH_TABLE(1, SEH_EXCEPT_ALL(ring, 0), caught);
    SEH_TRY(ring, caught);
    ExNotifyCallback(Object, NULL, argument);
    SEH_END(ring);
    return 0;
caught:
    return 1;
}

static ULONG Busy(PVOID registration)
{
    return *(volatile ULONG *)((PUCHAR)registration + 0x28);
}

DEED RingAndLeave(VOID)
{
    OBJECT_ATTRIBUTES unnamed;

    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    if (!NT_SUCCESS(ExCreateCallback(&Object, &unnamed, TRUE, TRUE))) {
        return;
    }
    First = ExRegisterCallback(Object, Faulty, NULL);
    Second = ExRegisterCallback(Object, Harmless, NULL);
    DbgPrint("exception-cut-short: caught %lu\n", Ring((PVOID)(ULONG_PTR)0xC0FFEE));
    DbgPrint("exception-cut-short: busy %lu and %lu, reached %lu, IRQL %u\n", Busy(First), Busy(Second), Reached, KeGetCurrentIrql());
    ExUnregisterCallback(Second);
    DbgPrint("exception-cut-short: the second one left\n");
    ExUnregisterCallback(First);
}

VICTIM("exception-cut-short", RingAndLeave, "leave a ring by an exception")
