/*
 * exception-unhandled: raises a status two frames below filters that do not take it, in a routine that the kernel calls. The report has the stack, across
 * the kernel, and record and registers lie where the bugcheck says.
 */
#include "seh.h"
#include "victim.h"

static PCALLBACK_OBJECT Object;

SEH_ROUTINE LONG NTAPI Decline(PEXCEPTION_POINTERS pointers, PVOID frame)
{
    UNREFERENCED_PARAMETER(frame);
    DbgPrint("exception-unhandled: asked about %lx\n", pointers->ExceptionRecord->ExceptionCode);
    return EXCEPTION_CONTINUE_SEARCH;
}

__attribute__((noipa)) VOID Raise(VOID) { ExRaiseStatus(STATUS_DATATYPE_MISALIGNMENT); }

VOID NTAPI Raises(PVOID context, PVOID argument1, PVOID argument2)
{
    UNREFERENCED_PARAMETER(context);
    UNREFERENCED_PARAMETER(argument1);
    UNREFERENCED_PARAMETER(argument2);
    Raise();
}

SEH_FUNCTION DEED RingDeclining(VOID)
{
    OBJECT_ATTRIBUTES unnamed;

    SEH_TABLE(1, SEH_EXCEPT(declining, Decline, 0), caught);
    InitializeObjectAttributes(&unnamed, NULL, 0, NULL, NULL);
    if (!NT_SUCCESS(ExCreateCallback(&Object, &unnamed, TRUE, TRUE)) || ExRegisterCallback(Object, Raises, NULL) == NULL) {
        return;
    }
    SEH_TRY(declining, caught);
    ExNotifyCallback(Object, NULL, NULL);
    SEH_END(declining);
caught:
    DbgPrint("exception-unhandled: back\n");
}

VICTIM("exception-unhandled", RingDeclining, "raise what nobody takes")
