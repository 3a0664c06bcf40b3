/* What every bundled driver starts from. ntifs.h, because ObMakeTemporaryObject is declared there and not in ntddk.h. */
#ifndef RINGBELL_H
#define RINGBELL_H

#include <ntifs.h>

/* The object the samples meet at. */
#define BOPIN_NAME L"\\Callback\\callbackbopin"

/* Entry points have external linkage: they keep their names in the symbol table, which is what reports print. */
NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath);
VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject);

/* A driver whose whole job is done in DriverEntry can say that it may be unloaded, and nothing more. */
#define RB_EMPTY_UNLOAD(driver_name)                        \
    VOID NTAPI DriverUnload(PDRIVER_OBJECT DriverObject)    \
    {                                                       \
        UNREFERENCED_PARAMETER(DriverObject);               \
        DbgPrint(driver_name ": unloaded\n");               \
    }

/* Opens, or creates, the callback object `name`. */
static inline NTSTATUS RbCallback(PCALLBACK_OBJECT *object, PCWSTR name, ULONG attributes, BOOLEAN create,
                                  BOOLEAN multiple)
{
    UNICODE_STRING string;
    OBJECT_ATTRIBUTES where;

    RtlInitUnicodeString(&string, name);
    InitializeObjectAttributes(&where, &string, attributes, NULL, NULL);
    return ExCreateCallback(object, &where, create, multiple);
}

#endif
