/* write-unmapped: writes to a canonical kernel address where nothing is mapped (Windows: bugcheck 50h). */
#include "victim.h"

DEED WriteUnmapped(VOID)
{
    *(volatile ULONG *)0xFFFFA00000001000 = 0xDEADBEEF;
}

VICTIM("write-unmapped", WriteUnmapped, "write DEADBEEF to FFFFA00000001000")
