"""Arrays in, arrays out: the compiled part of near-duplicate removal, without Spark."""

from sparkprep.dedup.kernels.cache import have_a_place

KEPT = have_a_place()  # before Numba looks for one, which it does while it imports a kernel
"""Whether compiled kernels are kept on disk: what `njit` is to be told as `cache`."""
