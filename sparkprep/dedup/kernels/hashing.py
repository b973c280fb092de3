"""64-bit arithmetic that NumPy and Numba do not offer the kernels: unaligned loads, bit counts, 128-bit products."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from sparkprep.dedup.kernels import KEPT

# Odd constants with balanced bits: the first 64 fractional bits of the square roots of 2, 3, 5, 7, 11 (last bit set).
K0 = np.uint64(0x6A09E667F3BCC909)
K1 = np.uint64(0xBB67AE8584CAA73B)
K2 = np.uint64(0x3C6EF372FE94F82B)
K3 = np.uint64(0xA54FF53A5F1D36F1)
K4 = np.uint64(0x510E527FADE682D1)


@intrinsic
def load64(typingctx: Any, data: Any, index: Any) -> Any:
    """Return 8 bytes of a uint8 array from `index` on, little-endian, at any alignment; the caller checks bounds."""
    signature = types.uint64(data, index)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        array = cgutils.create_struct_proxy(sig.args[0])(context, builder, value=args[0])
        address = builder.gep(array.data, [args[1]])
        wide = builder.bitcast(address, ir.IntType(64).as_pointer())
        return builder.load(wide, align=1)

    return signature, codegen


@intrinsic
def trailing_zeros(typingctx: Any, value: Any) -> Any:
    """Return the number of zero bits below the lowest set bit of a uint64; 64 for zero."""
    signature = types.uint64(types.uint64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return signature, codegen


@intrinsic
def fold(typingctx: Any, a: Any, b: Any) -> Any:
    """Return the 128-bit product of two uint64, its halves xor-ed: one multiplication that mixes all bits."""
    signature = types.uint64(types.uint64, types.uint64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(args[0], wide), builder.zext(args[1], wide))
        high = builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))
        return builder.xor(high, builder.trunc(product, ir.IntType(64)))

    return signature, codegen


@njit("uint64(uint64)", cache=KEPT)
def splitmix(x):
    """Map 64-bit integers one to one so that 0, 1, 2, ... look random (Steele, Lea, Flood 2014)."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@njit(cache=KEPT)
def hash_rows(data, offsets, out):
    """Write to out, uint64 (n,), a hash of each row data[offsets[i]:offsets[i + 1]] of uint8, its length included."""
    for row in range(out.size):
        start, end = offsets[row], offsets[row + 1]
        value = K0 ^ np.uint64(end - start)
        position = start
        while position + 8 <= end:
            value = fold(value ^ load64(data, position), K1) ^ K2
            position += 8
        last = np.uint64(0)
        while position < end:
            last = (last << np.uint64(8)) | np.uint64(data[position])
            position += 1
        out[row] = splitmix(fold(value ^ last, K3) ^ K4)
