/* halt: hlt, which belongs into the idle loop. With interrupts on it ends with the next one, so the driver must survive: the near miss of load-gdt. */
#include "victim.h"

DEED Halt(VOID)
{
    __asm__ volatile("hlt");
}

VICTIM("halt", Halt, "execute hlt")
