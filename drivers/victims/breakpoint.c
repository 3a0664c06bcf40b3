/* breakpoint: int 3 without a debugger (Windows: bugcheck 7Eh with 80000003). */
#include "victim.h"

DEED Breakpoint(VOID)
{
    __asm__ volatile("int3");
}

VICTIM("breakpoint", Breakpoint, "execute int 3")
