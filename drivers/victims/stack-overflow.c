/* stack-overflow: recurses through far more than the 24 KiB a kernel stack has, 256 bytes and more at a time (Windows: bugcheck 7Fh, double fault). */
#include "victim.h"

__attribute__((noinline)) ULONG NTAPI Recurse(ULONG Depth)
{
    volatile UCHAR frame[256];

    frame[Depth % sizeof(frame)] = (UCHAR)Depth;
    if (Depth == 0) {
        return 0;
    }
    return Recurse(Depth - 1) + frame[Depth % sizeof(frame)];
}

DEED StackOverflow(VOID)
{
    DbgPrint("stack-overflow: got %lu\n", Recurse(1 << 20));
}

VICTIM("stack-overflow", StackOverflow, "recurse a million times")
