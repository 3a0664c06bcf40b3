/* endless-calls: never returns from DriverEntry either, but calls an export all the time. */
#include "victim.h"

DEED EndlessCalls(VOID)
{
    KEVENT event;

    KeInitializeEvent(&event, NotificationEvent, FALSE);
    while (KeReadStateEvent(&event) == 0) {
    }
}

VICTIM("endless-calls", EndlessCalls, "ask an event for ever")
