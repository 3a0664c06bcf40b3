/* fastfail: int 29h with code 3 in ECX, as inlined list operations do when they find a corrupt list (Windows: bugcheck 139h, first parameter 3). */
#include "victim.h"

DEED FastFail(VOID)
{
    __asm__ volatile("int $0x29" : : "c"(3));
}

VICTIM("fastfail", FastFail, "execute int 29h with code 3")
