/*
 * Structured exception handling for gcc, which has no __try on this platform: the tables that a compiler would write, by hand.
 *
 *     __attribute__((noinline, noclone)) static LONG Guarded(volatile ULONG *where)
 *     {
 *         SEH_TABLE(1, SEH_EXCEPT(guarded, GuardedFilter, 0), caught);
 *         SEH_TRY(guarded, caught);
 *         *where = 1;
 *         SEH_END(guarded);
 *         return 0;
 *     caught:
 *         return 1;
 *     }
 *
 * A name may be used once in a source. Blocks stand in the table from the inside out; the number in SEH_EXCEPT is the position of its label behind
 * the entries. Behind the label no local variable has a value that can be relied on, unless it is volatile.
 */
#ifndef SEH_H
#define SEH_H

#include "ringbell.h"

/* What no value survives in: it comes back from another place with other registers. */
#define SEH_REGISTERS "memory", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"

/* A function that has a table. */
#define SEH_FUNCTION __attribute__((noinline, noclone))
/* A routine that only a table knows. */
#define SEH_ROUTINE __attribute__((used, noinline, noclone))

#define SEH_TRY(name, label) __asm__ goto(".Lseh_" #name "_begin:" : : : SEH_REGISTERS : label)
/* A call at the end returns behind itself: that place belongs to the block. */
#define SEH_END(name) __asm__ volatile("nop\n.Lseh_" #name "_end:" : : : "memory")

#define SEH_BLOCK(name) ".rva .Lseh_" #name "_begin, .Lseh_" #name "_end\n"
/* LONG NTAPI filter(PEXCEPTION_POINTERS pointers, PVOID frame) */
#define SEH_EXCEPT(name, filter, label) SEH_BLOCK(name) ".rva " #filter ", %l" #label "\n"
/* __except (EXCEPTION_EXECUTE_HANDLER) */
#define SEH_EXCEPT_ALL(name, label) SEH_BLOCK(name) ".long 1\n.rva %l" #label "\n"
/* VOID NTAPI routine(BOOLEAN abnormal, PVOID frame) */
#define SEH_FINALLY(name, routine) SEH_BLOCK(name) ".rva " #routine "\n.long 0\n"

#define SEH_TABLE(count, entries, ...)                                                                          \
    __asm__ goto(".seh_handler __C_specific_handler, @except, @unwind\n.seh_handlerdata\n.long " #count "\n"   \
                 entries ".text" : : : "memory" : __VA_ARGS__)
/* The same for a function that has only SEH_FINALLY. */
#define SEH_TABLE_FINALLY(count, entries)                                                                            \
    __asm__ volatile(".seh_handler __C_specific_handler, @except, @unwind\n.seh_handlerdata\n.long " #count "\n"    \
                     entries ".text" : : : "memory")

#endif
