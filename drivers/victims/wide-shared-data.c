/* wide-shared-data: copies sixteen bytes of KUSER_SHARED_DATA at once, as structure copies do. Either it gets the version, or the run ends with words
 * that name the instruction: never with wrong bytes. */
#include "victim.h"

DEED WideSharedData(VOID)
{
    ULONG wide[4];

    __asm__ volatile("movdqu (%1), %%xmm0\n\tmovdqu %%xmm0, %0" : "=m"(wide) : "r"(0xFFFFF7800000026CULL) : "xmm0", "memory");
    DbgPrint("wide-shared-data: version %lu.%lu\n", wide[0], wide[1]);
}

VICTIM("wide-shared-data", WideSharedData, "copy sixteen bytes of KUSER_SHARED_DATA")
