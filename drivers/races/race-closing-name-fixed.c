/*
 * race-closing-name-fixed: the twin of `race-closing-name` that is right: the name goes when nobody will look for it any more, and the visitor looks at
 * the status of its open.
 *
 * The creator knows who is to open the object by name, so it waits for that before it closes. The status is checked all the same: in another driver's
 * hands the name may be gone at any time, and then there is nothing to register on.
 */
#include "threads.h"

#define NAME L"\\Callback\\RaceClosingName"

static PCALLBACK_OBJECT Bell;
static PETHREAD Visitor;
static ULONG Rings;

VOID NTAPI OnRing(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    UNREFERENCED_PARAMETER(Context);
    UNREFERENCED_PARAMETER(Argument1);
    UNREFERENCED_PARAMETER(Argument2);
    Rings += 1;
}

VOID NTAPI VisitingThread(PVOID StartContext)
{
    PCALLBACK_OBJECT object = NULL;
    PVOID registration;

    UNREFERENCED_PARAMETER(StartContext);
    if (!NT_SUCCESS(RbCallback(&object, NAME, OBJ_CASE_INSENSITIVE, FALSE, TRUE))) {
        return;
    }
    registration = ExRegisterCallback(object, OnRing, NULL);
    if (registration != NULL) {
        ExNotifyCallback(object, NULL, NULL);
        ExUnregisterCallback(registration);
    }
    ObDereferenceObject(object);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    RbJoinThread(Visitor);
    ObMakeTemporaryObject(Bell);
    ObDereferenceObject(Bell);
    DbgPrint("race-closing-name-fixed: unloaded after %lu rings\n", Rings);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;
    status = RbCallback(&Bell, NAME, OBJ_CASE_INSENSITIVE | OBJ_PERMANENT, TRUE, TRUE);
    if (NT_SUCCESS(status)) {
        Visitor = RbStartThread(VisitingThread, NULL);
    }
    return status;
}
