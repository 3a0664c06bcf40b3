/* write-cr0: switches write protection off, as code patchers do. It must not be granted in silence. */
#include "victim.h"

DEED WriteCr0(VOID)
{
    ULONG64 cr0;

    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 & ~(ULONG64)0x10000));
}

VICTIM("write-cr0", WriteCr0, "clear CR0.WP")
