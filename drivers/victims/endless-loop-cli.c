/* endless-loop-cli: never returns from DriverEntry, with interrupts off: on hardware not even the clock would get through. */
#include "victim.h"

DEED EndlessLoopCli(VOID)
{
    __asm__ volatile("cli");
    for (;;) {
        __asm__ volatile("pause");
    }
}

VICTIM("endless-loop-cli", EndlessLoopCli, "loop for ever with interrupts off")
