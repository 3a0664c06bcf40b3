/* absent-data-read: reads a variable that ntoskrnl.exe exports and Ringbell does not have. A call and a read of something absent are told apart. */
#include "victim.h"

extern __declspec(dllimport) volatile ULONG PsUILanguageComitted;

DEED AbsentDataRead(VOID)
{
    DbgPrint("absent-data-read: got %lu\n", PsUILanguageComitted);
}

VICTIM("absent-data-read", AbsentDataRead, "read PsUILanguageComitted")
