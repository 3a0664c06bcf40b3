/* load-gdt: replaces the descriptor table, the deed of a rootkit or a hypervisor: nothing emulates it. */
#include "victim.h"

#pragma pack(push, 1)
struct {
    USHORT Limit;
    ULONG64 Base;
} volatile Gdt = { 0x57, 0xFFFFF80000001000 };
#pragma pack(pop)

DEED LoadGdt(VOID)
{
    __asm__ volatile("lgdt %0" : : "m"(Gdt));
}

VICTIM("load-gdt", LoadGdt, "execute lgdt")
