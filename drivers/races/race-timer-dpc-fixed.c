/*
 * race-timer-dpc-fixed: the twin of `race-timer-dpc` that is right: it waits for the DPC between canceling the timer and freeing.
 *
 * KeFlushQueuedDpcs returns when every DPC that was queued before, on any processor, has run. The timer is canceled before that, so it queues no other.
 */
#include "ringbell.h"

#define TAG 'rHcR'
#define BEAT_MS 10

typedef struct _HEART {
    LONG Beats;
} HEART, *PHEART;

static KTIMER Timer;
static KDPC Dpc;
static PHEART Heart;

VOID NTAPI OnBeat(PKDPC This, PVOID DeferredContext, PVOID SystemArgument1, PVOID SystemArgument2)
{
    PHEART heart = DeferredContext;

    UNREFERENCED_PARAMETER(This);
    UNREFERENCED_PARAMETER(SystemArgument1);
    UNREFERENCED_PARAMETER(SystemArgument2);
    InterlockedIncrement(&heart->Beats);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    KeCancelTimer(&Timer);
    KeFlushQueuedDpcs();
    ExFreePoolWithTag(Heart, TAG);
    DbgPrint("race-timer-dpc-fixed: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    LARGE_INTEGER due;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    Heart = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(*Heart), TAG);
    if (Heart == NULL) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    Heart->Beats = 0;
    KeInitializeTimer(&Timer);
    KeInitializeDpc(&Dpc, OnBeat, Heart);
    KeSetTargetProcessorDpc(&Dpc, 1);
    due.QuadPart = -10000LL * BEAT_MS;
    KeSetTimerEx(&Timer, due, BEAT_MS, &Dpc);
    return STATUS_SUCCESS;
}
