/* unregister-twice: unregisters the same registration a second time, after it was freed. There is no error code for that, only damage. */
#include "victim.h"

VOID NTAPI UnregisterTwiceRoutine(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    DbgPrint("unregister-twice: rung %p %p %p\n", Context, Argument1, Argument2);
}

DEED UnregisterTwice(VOID)
{
    OBJECT_ATTRIBUTES where;
    PCALLBACK_OBJECT object;
    PVOID registration;

    InitializeObjectAttributes(&where, NULL, 0, NULL, NULL);
    if (!NT_SUCCESS(ExCreateCallback(&object, &where, TRUE, TRUE))) {
        return;
    }
    registration = ExRegisterCallback(object, UnregisterTwiceRoutine, NULL);
    ExUnregisterCallback(registration);
    ExUnregisterCallback(registration);
    ObDereferenceObject(object);
}

VICTIM("unregister-twice", UnregisterTwice, "unregister the same registration twice")
