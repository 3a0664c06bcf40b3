/* call-stack: a fault under two calls of the kernel. DriverEntry rings an object through a function with a frame pointer (its array has a length
 * that is not known); the listener, through two functions that keep values in registers, rings another one, whose listener faults. The report must
 * show every function and both calls of ExNotifyCallback between them. */
#include "ringbell.h"

static PCALLBACK_OBJECT Outer, Inner;

static __attribute__((noinline)) ULONG_PTR Touch(volatile UCHAR *bytes, ULONG count)
{
    ULONG_PTR sum = 0;
    while (count != 0) {
        sum += bytes[--count];
    }
    return sum;
}

VOID NTAPI OnInner(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    DbgPrint("call-stack: about to write to %p\n", Argument2);
    *(volatile ULONG *)Argument2 = 1;
    DbgPrint("call-stack: survived\n");
}

__attribute__((noinline)) ULONG_PTR RingInner(ULONG_PTR a, ULONG_PTR b, ULONG_PTR c, ULONG_PTR d)
{
    ExNotifyCallback(Inner, (PVOID)a, (PVOID)0x18);
    return a * b + c * d;
}

__attribute__((noinline)) ULONG_PTR WithArray(ULONG count)
{
    volatile UCHAR bytes[count];
    ULONG_PTR sum;

    for (ULONG i = 0; i < count; i++) {
        bytes[i] = (UCHAR)i;
    }
    sum = RingInner(count, 2, 3, 4);
    return sum + Touch(bytes, count);
}

VOID NTAPI OnOuter(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument2);
    DbgPrint("call-stack: sum %Iu\n", WithArray((ULONG)(ULONG_PTR)Argument1));
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    OBJECT_ATTRIBUTES unnamed;

    UNREFERENCED_PARAMETER(DriverObject);
    UNREFERENCED_PARAMETER(RegistryPath);
    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    if (!NT_SUCCESS(ExCreateCallback(&Outer, &unnamed, TRUE, TRUE)) ||
        !NT_SUCCESS(ExCreateCallback(&Inner, &unnamed, TRUE, TRUE))) {
        return STATUS_UNSUCCESSFUL;
    }
    ExRegisterCallback(Outer, OnOuter, NULL);
    ExRegisterCallback(Inner, OnInner, NULL);
    ExNotifyCallback(Outer, (PVOID)33, NULL);
    return STATUS_SUCCESS;
}
