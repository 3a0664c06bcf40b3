/* absent-unused: imports an export that Ringbell does not have and never touches it. That is no reason to refuse the driver. */
#include "victim.h"

BOOLEAN volatile Wanted;

DEED AbsentUnused(VOID)
{
    if (Wanted) {
        FsRtlRegisterFileSystemFilterCallbacks(NULL, NULL);
    }
}

VICTIM("absent-unused", AbsentUnused, "not call FsRtlRegisterFileSystemFilterCallbacks")
