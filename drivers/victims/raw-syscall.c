/* raw-syscall: executes a system call of the host, write(1, ...). A driver has no business there: it must not get through. */
#include "victim.h"

const char Escape[] = "raw-syscall: this line escaped\n";

DEED RawSyscall(VOID)
{
    LONG64 result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(1LL), "D"(1LL), "S"(Escape), "d"((LONG64)sizeof(Escape) - 1)
                     : "rcx", "r11", "memory");
    DbgPrint("raw-syscall: returned %I64d\n", result);
}

VICTIM("raw-syscall", RawSyscall, "execute syscall")
