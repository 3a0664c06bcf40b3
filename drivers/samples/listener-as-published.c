/*
 * listener-as-published: the habits of a sample that circulates on blogs, in our own code. It works the first time, so nobody notices:
 *
 *  - the pointer from ExCreateCallback is a reference, and it is never given back (RB002);
 *  - the object is permanent and never made temporary, so it outlives the driver (RB003);
 *  - AllowMultipleCallbacks is FALSE, so a second copy's registration is refused: and because the status of the creation is what
 *    DriverEntry returns, that copy stays loaded and deaf (RB019).
 */
#include "ringbell.h"

PCALLBACK_OBJECT PublishedObject;
PVOID PublishedRegistration;

VOID NTAPI PublishedRoutine(PVOID Context, PVOID Argument1, PVOID Argument2)
{
    DbgPrint("listener-as-published: rung, context %p, arguments %p and %p\n", Context, Argument1, Argument2);
}

VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
    if (PublishedRegistration != NULL) {
        ExUnregisterCallback(PublishedRegistration);
        PublishedRegistration = NULL;
    }
    DbgPrint("listener-as-published: unloaded\n");
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS status;

    UNREFERENCED_PARAMETER(RegistryPath);
    DriverObject->DriverUnload = DriverUnload;

    status = RbCallback(&PublishedObject, BOPIN_NAME, OBJ_PERMANENT | OBJ_CASE_INSENSITIVE, TRUE, FALSE);
    if (NT_SUCCESS(status)) {
        PublishedRegistration = ExRegisterCallback(PublishedObject, PublishedRoutine, NULL);
        DbgPrint("listener-as-published: registration %s\n", PublishedRegistration != NULL ? "made" : "refused");
    }
    /* The mistake that hides the refusal: this is still the status of the creation. */
    return status;
}
