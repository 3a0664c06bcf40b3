/* endless-loop: never returns from DriverEntry, and calls nothing that could notice. */
#include "victim.h"

DEED EndlessLoop(VOID)
{
    for (;;) {
        __asm__ volatile("pause");
    }
}

VICTIM("endless-loop", EndlessLoop, "loop for ever")
