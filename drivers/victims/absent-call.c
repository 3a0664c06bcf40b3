/* absent-call: calls an export that ntoskrnl.exe has and Ringbell does not. The arguments are recognizable in the report. */
#include "victim.h"

/* ntifs.h in the WDK; no header of mingw-w64 has it. */
NTKERNELAPI NTSTATUS NTAPI FsRtlRegisterFileSystemFilterCallbacks(PDRIVER_OBJECT FilterDriverObject, PVOID Callbacks);

DEED AbsentCall(VOID)
{
    NTSTATUS status = FsRtlRegisterFileSystemFilterCallbacks((PDRIVER_OBJECT)(ULONG_PTR)0x1111, (PVOID)(ULONG_PTR)0x2222);

    DbgPrint("absent-call: got %08lx\n", status);
}

VICTIM("absent-call", AbsentCall, "call FsRtlRegisterFileSystemFilterCallbacks with 1111 and 2222")
