/* absent-data-write: writes a variable that ntoskrnl.exe exports and Ringbell does not have. */
#include "victim.h"

extern __declspec(dllimport) volatile ULONG KdComPortInUse;

DEED AbsentDataWrite(VOID)
{
    KdComPortInUse = 118;
}

VICTIM("absent-data-write", AbsentDataWrite, "write KdComPortInUse")
