/* assertion: int 2Ch, which NT_ASSERT compiles to on x64. */
#include "victim.h"

DEED Assertion(VOID)
{
    __asm__ volatile("int $0x2C");
}

VICTIM("assertion", Assertion, "execute int 2Ch")
