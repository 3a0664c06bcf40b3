/*
 * race-closing-name: one thread opens a callback object by name while its creator takes the name away.
 *
 * Wrong, twice: DriverUnload makes the object temporary, which removes the name at once, before it knows whether everybody who was to open it has done
 * so; and the visitor ignores the status of its open, so that it registers on no object at all.
 *
 * The schedule that breaks it:
 *
 *     visitor                                             unloading thread
 *                                                         ObMakeTemporaryObject(Bell): the name is gone
 *     ExCreateCallback fails with C0000034
 *     ExRegisterCallback(NULL, …): a fault
 *
 * The visitor is started long before, and as a rule has the object by then. (An object that nobody made permanent has no name at all, not even for a
 * moment: rule RB004.) `race-closing-name-fixed` is right.
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
    RbCallback(&object, NAME, OBJ_CASE_INSENSITIVE, FALSE, TRUE);
    registration = ExRegisterCallback(object, OnRing, NULL);
    ExNotifyCallback(object, NULL, NULL);
    ExUnregisterCallback(registration);
    ObDereferenceObject(object);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    ObMakeTemporaryObject(Bell);
    ObDereferenceObject(Bell);
    RbJoinThread(Visitor);
    DbgPrint("race-closing-name: unloaded after %lu rings\n", Rings);
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
