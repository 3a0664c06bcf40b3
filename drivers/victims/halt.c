/* halt: hlt, which only the idle loop may execute: nothing emulates it. */
#include "victim.h"

DEED Halt(VOID)
{
    __asm__ volatile("hlt");
}

VICTIM("halt", Halt, "execute hlt")
