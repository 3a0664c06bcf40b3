/* divide-by-zero: a division whose divisor was never set. */
#include "victim.h"

ULONG volatile Divisor;

DEED DivideByZero(VOID)
{
    DbgPrint("divide-by-zero: got %lu\n", 118 / Divisor);
}

VICTIM("divide-by-zero", DivideByZero, "divide 118 by 0")
