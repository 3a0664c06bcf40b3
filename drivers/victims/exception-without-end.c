/* exception-without-end: a filter that raises what it is asked about again. Windows: a double fault when the stack is used up. */
#include "seh.h"
#include "victim.h"

static volatile ULONG Zero;

/* noipa: whoever calls it must not know that it never returns. */
__attribute__((noipa)) VOID Divide(VOID) { Zero = 118 / Zero; }

SEH_ROUTINE LONG NTAPI DividesToo(PEXCEPTION_POINTERS pointers, PVOID frame)
{
    UNREFERENCED_PARAMETER(pointers);
    UNREFERENCED_PARAMETER(frame);
    Divide();
    return EXCEPTION_CONTINUE_SEARCH;
}

SEH_FUNCTION DEED Endless(VOID)
{
    SEH_TABLE(1, SEH_EXCEPT(endless, DividesToo, 0), caught);
    SEH_TRY(endless, caught);
    Divide();
    SEH_END(endless);
caught:
    DbgPrint("exception-without-end: caught\n");
}

VICTIM("exception-without-end", Endless, "divide by 0 in a filter")
