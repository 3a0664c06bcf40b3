/* print-flood: prints for ever. It must end by a limit, with every line up to it kept. */
#include "victim.h"

DEED PrintFlood(VOID)
{
    ULONG64 line;

    for (line = 0;; line++) {
        DbgPrint("print-flood: line %I64u\n", line);
    }
}

VICTIM("print-flood", PrintFlood, "print for ever")
