/* wild-argument: hands an export a name that points nowhere. The export must survive it: either an error or a bugcheck that names this driver. */
#include "victim.h"

DEED WildArgument(VOID)
{
    OBJECT_ATTRIBUTES where;
    PCALLBACK_OBJECT object = NULL;
    NTSTATUS status;

    InitializeObjectAttributes(&where, (PUNICODE_STRING)0xFFFFA00000003000, OBJ_CASE_INSENSITIVE, NULL, NULL);
    status = ExCreateCallback(&object, &where, FALSE, TRUE);
    DbgPrint("wild-argument: got %08lx and %p\n", status, object);
}

VICTIM("wild-argument", WildArgument, "open a callback by a wild name")
