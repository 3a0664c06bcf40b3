/* execute-data: jumps into its own data section, which holds a valid `ret`. It is data all the same (Windows: bugcheck FCh). */
#include "victim.h"

UCHAR DataWithCode[16] = { 0xC3 };

DEED ExecuteData(VOID)
{
    VOID(NTAPI *volatile target)(VOID) = (VOID(NTAPI *)(VOID))(ULONG_PTR)DataWithCode;

    target();
}

VICTIM("execute-data", ExecuteData, "call its own data section")
