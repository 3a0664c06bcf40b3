/* double-free: frees a pool block twice (Windows: bugcheck C2h). */
#include "victim.h"

#define TAG 'eerF'

DEED DoubleFree(VOID)
{
    PVOID block = ExAllocatePoolWithTag(NonPagedPoolNx, 0x40, TAG);

    if (block != NULL) {
        ExFreePoolWithTag(block, TAG);
        ExFreePoolWithTag(block, TAG);
    }
}

VICTIM("double-free", DoubleFree, "free a pool block twice")
