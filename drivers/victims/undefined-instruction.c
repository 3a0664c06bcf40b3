/* undefined-instruction: ud2, which compilers emit where control must not arrive. */
#include "victim.h"

DEED UndefinedInstruction(VOID)
{
    __asm__ volatile("ud2");
}

VICTIM("undefined-instruction", UndefinedInstruction, "execute ud2")
