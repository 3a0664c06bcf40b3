/* free-nonsense: frees something that never was a pool block: its own data (Windows: bugcheck C2h). */
#include "victim.h"

UCHAR NotPool[64];

DEED FreeNonsense(VOID)
{
    ExFreePoolWithTag(NotPool + 32, 'tNoN');
}

VICTIM("free-nonsense", FreeNonsense, "free its own data section")
