/* wait-forever: waits for an event that nobody can set: no thread is left that could run. */
#include "victim.h"

DEED WaitForever(VOID)
{
    KEVENT event;

    KeInitializeEvent(&event, SynchronizationEvent, FALSE);
    KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL);
}

VICTIM("wait-forever", WaitForever, "wait for an event nobody sets")
