/* corrupt-registration: breaks the list of a callback object and unregisters. The unlink checks its neighbours first (Windows: bugcheck 139h,
 * first parameter 3). */
#include "victim.h"

VOID NTAPI CorruptRegistrationRoutine(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    DbgPrint("corrupt-registration: rung %p %p %p\n", Context, Argument1, Argument2);
}

DEED CorruptRegistration(VOID)
{
    OBJECT_ATTRIBUTES where;
    PCALLBACK_OBJECT object;
    PLIST_ENTRY link;

    InitializeObjectAttributes(&where, NULL, 0, NULL, NULL);
    if (!NT_SUCCESS(ExCreateCallback(&object, &where, TRUE, TRUE))) {
        return;
    }
    link = ExRegisterCallback(object, CorruptRegistrationRoutine, NULL);
    link->Blink = link;
    ExUnregisterCallback(link);
}

VICTIM("corrupt-registration", CorruptRegistration, "unregister from a broken list")
