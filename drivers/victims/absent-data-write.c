/* absent-data-write: writes a variable that ntoskrnl.exe exports and Ringbell does not have. */
#include "victim.h"

extern __declspec(dllimport) volatile ULONG PsUILanguageComitted;

DEED AbsentDataWrite(VOID)
{
    PsUILanguageComitted = 118;
}

VICTIM("absent-data-write", AbsentDataWrite, "write PsUILanguageComitted")
