/* timer-in-dead-frame: sets a timer that is a local variable, returns, and uses the stack again (bugcheck 139h when the kernel comes across it). */
#include "victim.h"

DEED SetLocalTimer(VOID)
{
    KTIMER timer;
    LARGE_INTEGER due;

    due.QuadPart = -100000;
    KeInitializeTimer(&timer);
    KeSetTimer(&timer, due, NULL);
}

DEED UseStack(VOID)
{
    volatile UCHAR bytes[600];
    ULONG index;

    for (index = 0; index < sizeof(bytes); index++) {
        bytes[index] = 0x41;
    }
}

DEED LeaveTimer(VOID)
{
    LARGE_INTEGER due;

    SetLocalTimer();
    UseStack();
    due.QuadPart = -1000000;
    KeDelayExecutionThread(KernelMode, FALSE, &due);
}

VICTIM("timer-in-dead-frame", LeaveTimer, "leave a timer on the stack")
