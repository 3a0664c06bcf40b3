/* deep-stack: the near miss of stack-overflow: it uses 16 KiB of stack, which a kernel stack has, and must survive. */
#include "victim.h"

__attribute__((noinline)) VOID NTAPI Fill(volatile UCHAR *Buffer, SIZE_T Size)
{
    SIZE_T index;

    for (index = 0; index < Size; index++) {
        Buffer[index] = (UCHAR)index;
    }
}

DEED DeepStack(VOID)
{
    volatile UCHAR buffer[16 * 1024];

    Fill(buffer, sizeof(buffer));
}

VICTIM("deep-stack", DeepStack, "use 16 KiB of stack")
