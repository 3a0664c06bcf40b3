/* write-code: patches its own code section (Windows: bugcheck BEh). */
#include "victim.h"

DEED WriteCode(VOID)
{
    *(volatile UCHAR *)(ULONG_PTR)DriverEntry = 0xC3;
}

VICTIM("write-code", WriteCode, "patch its own DriverEntry")
