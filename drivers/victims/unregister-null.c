/* unregister-null: unregisters what a refused ExRegisterCallback returned (Windows: access violation). */
#include "victim.h"

DEED UnregisterNull(VOID)
{
    ExUnregisterCallback(NULL);
}

VICTIM("unregister-null", UnregisterNull, "unregister NULL")
