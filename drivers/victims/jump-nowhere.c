/* jump-nowhere: calls a function pointer that leads to an unmapped kernel address. The culprit is the caller, whose address is on the stack. */
#include "victim.h"

typedef VOID(NTAPI *NOWHERE)(ULONG Argument);

NOWHERE volatile JumpTarget = (NOWHERE)0xFFFFF80012340000;

DEED JumpNowhere(VOID)
{
    JumpTarget(0x118);
}

VICTIM("jump-nowhere", JumpNowhere, "call FFFFF80012340000")
