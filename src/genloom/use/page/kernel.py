"""A matrix product for browsers: a WebAssembly module of some hundred bytes, put together here.

`gemm(a, row of a, b, c, row of c, m, panels, k)` sets c `[m, 8 panels]` to a `[m, k]` times b, in float32, all places
and the lengths of rows in bytes. b lies in panels of eight columns, `[panels, k, 8]`.
"""

from __future__ import annotations

# Fused products of relaxed SIMD were tried: 42 GFLOP/s for 38, and not every browser has them.
# Numbers of instructions and sections: WebAssembly core specification 2.0, chapter 5
I32, V128, VOID = 0x7F, 0x7B, 0x40
LOOP, END, BRANCH_IF, IF = 0x03, 0x0B, 0x0D, 0x04
GET, SET = 0x20, 0x21
ADD, SUBTRACT, MULTIPLY, AT_LEAST = 0x6A, 0x6B, 0x6C, 0x4E  # of i32, the last signed
LOAD, LOAD_SPLAT, STORE, ZERO, F_ADD, F_MULTIPLY = 0, 9, 11, 12, 228, 230

A, ROW_A, B, C, ROW_C, M, PANELS, K = range(8)
AT_A, AT_C, LEFT, STEPS, AT_B = range(8, 13)  # where we are; rows and places of k that are left
ROWS = (13, 14, 15, 16)  # of a, where we are in each
FIRST, SECOND, ONE = 17, 18, 19  # eight columns of b, and a number of a four times
SUMS = tuple(range(20, 28))  # two for each row
BLOCK, UNROLLED = 4, 4  # rows at a time, and places of k


def number(value: int) -> bytes:
    """Return a whole number as LEB128, unsigned."""
    out = bytearray()
    while True:
        value, low = value >> 7, value & 0x7F
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def signed(value: int) -> bytes:
    """Return a whole number as LEB128, signed."""
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        done = (value == 0 and not low & 0x40) or (value == -1 and bool(low & 0x40))
        out.append(low | (0 if done else 0x80))
        if done:
            return bytes(out)


def get(*names: int) -> bytes:
    """Return code that takes these numbers."""
    return b"".join(bytes([GET]) + number(name) for name in names)


def put(name: int) -> bytes:
    """Return code that keeps a number."""
    return bytes([SET]) + number(name)


def const(value: int) -> bytes:
    """Return code that gives a whole number."""
    return b"\x41" + signed(value)


def simd(code: int) -> bytes:
    """Return the code of an instruction on four numbers."""
    return b"\xfd" + number(code)


def memory(code: int, offset: int = 0) -> bytes:
    """Return code that reads or writes four numbers."""
    return simd(code) + number(2) + number(offset)


def advance(name: int, by: bytes, how: int = ADD) -> bytes:
    """Return code that changes a number."""
    return get(name) + by + bytes([how]) + put(name)


def while_at_least(name: int, least: int, body: bytes) -> bytes:
    """Return a loop that goes on while a number is at least so large."""
    test = get(name) + const(least) + bytes([AT_LEAST])
    return test + bytes([IF, VOID, LOOP, VOID]) + body + test + bytes([BRANCH_IF, 0, END, END])


def products(rows: int, at: int) -> bytes:
    """Return the sums of `rows` rows with one place of k more, the one `at` places ahead."""
    code = get(AT_B) + memory(LOAD, 32 * at) + put(FIRST) + get(AT_B) + memory(LOAD, 32 * at + 16) + put(SECOND)
    for row in range(rows):
        code += get(ROWS[row]) + memory(LOAD_SPLAT, 4 * at) + put(ONE)
        for half, columns in enumerate((FIRST, SECOND)):
            total = SUMS[2 * row + half]
            code += get(ONE, columns) + simd(F_MULTIPLY) + get(total) + simd(F_ADD) + put(total)
    return code


def tile(rows: int) -> bytes:
    """Return the product of `rows` rows with a panel, written to c; it leaves us at the next rows."""
    code = get(B) + put(AT_B) + get(K) + put(STEPS)
    for row in range(rows):
        code += get(AT_A, ROW_A) + const(row) + bytes([MULTIPLY, ADD]) + put(ROWS[row])
        code += (simd(ZERO) + bytes(16)) + put(SUMS[2 * row]) + (simd(ZERO) + bytes(16)) + put(SUMS[2 * row + 1])
    for count in (UNROLLED, 1):
        body = b"".join(products(rows, at) for at in range(count))
        body += b"".join(advance(ROWS[row], const(4 * count)) for row in range(rows))
        body += advance(AT_B, const(32 * count)) + advance(STEPS, const(count), SUBTRACT)
        code += while_at_least(STEPS, count, body)
    for row in range(rows):
        for half in (0, 1):
            code += get(AT_C) + get(SUMS[2 * row + half]) + memory(STORE, 16 * half)
        code += advance(AT_C, get(ROW_C))
    over = get(ROW_A) + const(rows) + bytes([MULTIPLY])
    return code + advance(AT_A, over) + advance(LEFT, const(rows), SUBTRACT)


def section(number_of: int, *entries: bytes) -> bytes:
    """Return a section of a module."""
    content = number(len(entries)) + b"".join(entries)
    return bytes([number_of]) + number(len(content)) + content


def text(value: str) -> bytes:
    """Return a name."""
    return number(len(value)) + value.encode()


def module() -> bytes:
    """Return the module."""
    panel = get(A) + put(AT_A) + get(C) + put(AT_C) + get(M) + put(LEFT)
    panel += b"".join(while_at_least(LEFT, count, tile(count)) for count in (BLOCK, 1))
    panel += advance(B, get(K) + const(32) + bytes([MULTIPLY])) + advance(C, const(32))
    panel += advance(PANELS, const(1), SUBTRACT)
    code = while_at_least(PANELS, 1, panel)
    kinds = number(2) + number(FIRST - K - 1) + bytes([I32]) + number(SUMS[-1] - FIRST + 1) + bytes([V128])
    body = kinds + code + bytes([END])
    return (
        b"\0asm\1\0\0\0"
        + section(1, b"\x60" + number(K + 1) + bytes([I32]) * (K + 1) + number(0))
        + section(2, text("page") + text("memory") + b"\x02\x00" + number(0))
        + section(3, number(0))
        + section(7, text("gemm") + b"\x00" + number(0))
        + section(10, number(len(body)) + body)
    )
