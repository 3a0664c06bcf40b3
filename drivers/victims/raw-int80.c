/* raw-int80: the same through the 32-bit door, which filters written for one architecture forget: exit(42). */
#include "victim.h"

DEED RawInt80(VOID)
{
    LONG result;

    __asm__ volatile("int $0x80" : "=a"(result) : "a"(1), "b"(42) : "memory");
    DbgPrint("raw-int80: returned %ld\n", result);
}

VICTIM("raw-int80", RawInt80, "execute int 80h")
