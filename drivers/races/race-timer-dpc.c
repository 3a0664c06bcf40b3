/*
 * race-timer-dpc: cancels its timer and frees what the timer's DPC uses, without waiting for the DPC first.
 *
 * Wrong: KeCancelTimer takes the timer away, so that it does not expire again. It says nothing about a DPC that the timer has queued already, which may
 * be about to run on another processor. KeFlushQueuedDpcs waits for it, but here too late.
 *
 * The schedule that breaks it, on two processors:
 *
 *     unloading thread, processor 0                       processor 1
 *     the timer expires and queues the DPC
 *     DriverUnload cancels the timer and frees the heart
 *                                                         calls OnBeat, which counts in memory that is gone
 *
 * As a rule the timer does not expire just then: it takes its 10 ms, and DriverUnload some microseconds. `race-timer-dpc-fixed` is right.
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
    ExFreePoolWithTag(Heart, TAG);
    KeFlushQueuedDpcs();
    DbgPrint("race-timer-dpc: unloaded\n");
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
