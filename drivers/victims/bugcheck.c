/* bugcheck: ends the world itself, with a code and four parameters that a report must show unchanged. */
#include "victim.h"

DEED Bugcheck(VOID)
{
    KeBugCheckEx(0x000000E2, 0x1111, 0x2222, 0x3333, 0xFFFFF80044444444);
}

VICTIM("bugcheck", Bugcheck, "call KeBugCheckEx with code E2")
