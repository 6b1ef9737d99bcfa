"""Numba kernels: arrays, offsets and scalars in, preallocated arrays out; no validation, no messages.

Where a kernel says nothing else, these names mean the same in each of them:

- `data` (bytes,) uint8: a text or a binary file, whole. Places in it (`at`, `start`, `stop`, `end`) count bytes from 0.
- `at` (place): where reading begins. `end` (place): the first one beyond what may be read, at most `len(data)`.
- `word` (bytes,) uint8: a piece of such a text. `needs_decoding` (1,) bool: set where bytes beyond ASCII are met.
- `points` (points, 2) float32: x to the right and y down, all strokes of all drawings one after another.
- `stroke_offsets` (strokes + 1,) int64: where each stroke starts among the points.
- `sketch_offsets` (sketches + 1,) int64: where each drawing starts among the strokes.
"""
