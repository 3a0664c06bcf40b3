/* absent-call: calls an export that ntoskrnl.exe has and Ringbell does not. The arguments are recognizable in the report. */
#include "victim.h"

DEED AbsentCall(VOID)
{
    NTSTATUS status = FsRtlRegisterFileSystemFilterCallbacks((PDRIVER_OBJECT)(ULONG_PTR)0x1111,
                                                             (PFS_FILTER_CALLBACKS)(ULONG_PTR)0x2222);

    DbgPrint("absent-call: got %08lx\n", status);
}

VICTIM("absent-call", AbsentCall, "call FsRtlRegisterFileSystemFilterCallbacks with 1111 and 2222")
