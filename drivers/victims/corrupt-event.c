/* corrupt-event: hands KeSetEvent an event whose wait list leads nowhere. The fault happens inside the kernel, and is the driver's all the same. */
#include "victim.h"

KEVENT CorruptEventObject;

DEED CorruptEvent(VOID)
{
    KeInitializeEvent(&CorruptEventObject, NotificationEvent, FALSE);
    CorruptEventObject.Header.WaitListHead.Flink = (PLIST_ENTRY)0xFFFFA00000002000;
    CorruptEventObject.Header.WaitListHead.Blink = (PLIST_ENTRY)0xFFFFA00000002000;
    KeSetEvent(&CorruptEventObject, IO_NO_INCREMENT, FALSE);
}

VICTIM("corrupt-event", CorruptEvent, "set an event with a corrupt wait list")
