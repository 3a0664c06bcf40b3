"""Reads a crash dump with the Python package `kdmp_parser` and compares what it gives with the bytes of the file.

usage: read_dump.py DUMP MODULE_BASE...

The place of each page is computed here from the header, without the package. Prints `type T, root R, N pages, M modules, bugcheck CODE PARAMETER...`, or what differs.
"""

import struct
import sys

import kdmp_parser

PAGE = 0x1000


def main():
    path, bases = sys.argv[1], [int(base, 16) for base in sys.argv[2:]]
    with open(path, "rb") as file:
        raw = file.read()
    dump = kdmp_parser.KernelDumpParser(path)
    if dump.type != kdmp_parser.DumpType.FullDump:
        sys.exit(f"read as {dump.type}")
    (root,) = struct.unpack_from("<Q", raw, 0x10)
    if dump.directory_table_base != root:
        sys.exit(f"root {dump.directory_table_base:#x}, the header has {root:#x}")
    (runs,) = struct.unpack_from("<I", raw, 0x88)
    at, pages = 0x2000, {}
    for index in range(runs):
        first, count = struct.unpack_from("<QQ", raw, 0x98 + 16 * index)
        for number in range(first, first + count):
            pages[number] = raw[at : at + PAGE]
            at += PAGE
    for number, expected in pages.items():
        if bytes(dump.read_physical_page(number * PAGE) or b"") != expected:
            sys.exit(f"page {number:#x} differs")
    if at != len(raw) or len(dump.pages) != len(pages):
        sys.exit(f"{len(dump.pages)} pages listed, the file has {len(pages)} up to {at:#x} of {len(raw):#x}")
    for base in bases:
        physical = dump.translate_virtual(base)
        page = bytes(dump.read_virtual_page(base) or b"")
        if physical is None or page != pages[physical // PAGE] or page[:2] != b"MZ":
            sys.exit(f"no image at {base:#x}, which was translated to {physical}")
    header = dump.header
    words = [header.BugCheckCode, *header.BugCheckCodeParameter]
    bugcheck = " ".join(f"{word:#x}" for word in words)
    print(f"type 1, root {root:#x}, {len(pages)} pages, {len(bases)} modules, bugcheck {bugcheck}")


main()
