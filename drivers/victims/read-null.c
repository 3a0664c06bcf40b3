/* read-null: reads a field of a structure it has no pointer to. The address is 18h, not 0: that is what such faults look like. */
#include "victim.h"

PLIST_ENTRY volatile Nowhere;

DEED ReadNull(VOID)
{
    DbgPrint("read-null: got %p\n", *(PVOID volatile *)((PUCHAR)Nowhere + 0x18));
}

VICTIM("read-null", ReadNull, "read 0000000000000018")
