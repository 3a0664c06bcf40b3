/* unknown-msr: reads a model-specific register that no processor has (hardware: general protection fault). */
#include "victim.h"

DEED UnknownMsr(VOID)
{
    ULONG low, high;

    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(0x0BADC0DE));
    DbgPrint("unknown-msr: got %08lx%08lx\n", high, low);
}

VICTIM("unknown-msr", UnknownMsr, "read MSR 0BADC0DE")
