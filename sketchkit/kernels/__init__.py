"""Numba kernels: arrays, offsets and scalars in, preallocated arrays out; no validation, no messages."""
