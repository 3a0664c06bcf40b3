/* raise-status: raises an exception that nobody handles (Windows: bugcheck 7Eh with the status as first parameter). */
#include "victim.h"

DEED RaiseStatus(VOID)
{
    ExRaiseStatus(STATUS_DATATYPE_MISALIGNMENT);
}

VICTIM("raise-status", RaiseStatus, "raise STATUS_DATATYPE_MISALIGNMENT")
