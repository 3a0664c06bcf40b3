/* timer-initialized-while-set: initializes a timer that is set (Driver Verifier: bugcheck C7h). */
#include "victim.h"

KTIMER Timer;

DEED InitializeAgain(VOID)
{
    LARGE_INTEGER due;

    due.QuadPart = -1000000;
    KeInitializeTimer(&Timer);
    KeSetTimer(&Timer, due, NULL);
    KeInitializeTimer(&Timer);
    KeDelayExecutionThread(KernelMode, FALSE, &due);
}

VICTIM("timer-initialized-while-set", InitializeAgain, "initialize a timer that is set")
