/* read-noncanonical: reads an address whose upper 16 bits are no sign extension. The processor raises a general protection fault and does not
 * say which address it was; only the instruction tells (Windows: bugcheck 3Bh or 7Eh with c0000005). */
#include "victim.h"

ULONG64 volatile NonCanonical = 0x4141414141414141;

DEED ReadNonCanonical(VOID)
{
    DbgPrint("read-noncanonical: got %p\n", *(PVOID volatile *)NonCanonical);
}

VICTIM("read-noncanonical", ReadNonCanonical, "read 4141414141414141")
