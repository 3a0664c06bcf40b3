/* System threads that a driver starts and waits for. */
#ifndef THREADS_H
#define THREADS_H

#include "ringbell.h"

/* Starts a thread and returns its object, referenced; NULL where there is none. */
static inline PETHREAD RbStartThread(PKSTART_ROUTINE routine, PVOID context)
{
    OBJECT_ATTRIBUTES attributes;
    PETHREAD thread = NULL;
    HANDLE handle;

    InitializeObjectAttributes(&attributes, NULL, OBJ_KERNEL_HANDLE, NULL, NULL);
    if (NT_SUCCESS(PsCreateSystemThread(&handle, THREAD_ALL_ACCESS, &attributes, NULL, NULL, routine, context))) {
        ObReferenceObjectByHandle(handle, SYNCHRONIZE, *PsThreadType, KernelMode, (PVOID *)&thread, NULL);
        ZwClose(handle);
    }
    return thread;
}

/* Waits for the end of a thread. For the thread's own object, and not for an event that the thread sets as its last deed: such a thread may lose the
 * processor right behind KeSetEvent, and finds its code gone when it goes on. The object is signaled by the kernel, when no code of the driver will run
 * in that thread any more. */
static inline VOID RbJoinThread(PETHREAD thread)
{
    if (thread != NULL) {
        KeWaitForSingleObject(thread, Executive, KernelMode, FALSE, NULL);
        ObDereferenceObject(thread);
    }
}

#endif
