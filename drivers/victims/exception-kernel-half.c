/* exception-kernel-half: reads an address of the kernel's half that nothing is mapped at, inside __try. That is no exception but bugcheck 50h. */
#include "seh.h"
#include "victim.h"

SEH_FUNCTION DEED ReadBeyond(VOID)
{
    volatile ULONG value = 0;

    SEH_TABLE(1, SEH_EXCEPT_ALL(beyond, 0), caught);
    SEH_TRY(beyond, caught);
    value = *(volatile ULONG *)(ULONG_PTR)0xFFFFA00000001000ULL;
    SEH_END(beyond);
    DbgPrint("exception-kernel-half: survived with %lu\n", value);
    return;
caught:
    DbgPrint("exception-kernel-half: survived by its handler\n");
}

VICTIM("exception-kernel-half", ReadBeyond, "read the kernel's half inside __try")
