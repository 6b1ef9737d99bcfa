"""Both readers of SVG documents side by side, and path data that both must read the same."""

from __future__ import annotations

from sketchkit.errors import DataError
from sketchkit.formats.svg_documents import general_sketch, plain_documents, sketch_of

__all__ = ["PATHS", "compiled", "outcome"]

PATHS = [
    "M1 2L3 4",
    "m1,2 3,4 5,6",
    "M.5.5-1e-3+2",
    "M1.5.5L1.e1,2.",
    "  \n\tM 0 , 0 ,L,1 1,,2\r2 ,",
    "M0 0l1 1 1 1z",
    "M 0 0 H 5 V 5 H 2 3 h-1-1v+1 1Z",
    "M1 1zm2 2zl1 1z z",
    "M1 1 2 2zm5 5 1 1zh3",
    "M5 5l0 0",
    "M9 9m1 1m1 1l1 0m0 0",
    "M0 0 1 0M1 0 2 0m0 0",
    "M0 0C1 2 3 4 5 6s7 8 9 10 11 12 13 14S1 1 0 0",
    "M0 0c1 2 3 4 5 6c7 8 9 10 11 12-5-5-5-5 0 0",
    "M0 0S1 2 3 4L5 5s1 1 2 0",
    "M0 0Q5 9 10 0T20 0 30 5t10-9 10 9",
    "M0 0q5 9 10 0t5 5L9 9t5 5T1 1",
    "M0 0C1 2 3 4 5 6T9 9Q1 1 2 2S5 5 9 1",
    "M0 0C0 0 5 5 5 5C5 5 5 5 5 5",
    "M1e2 1E-2L1e+1 1e0",
    "M0 0L123.456789012345678 0.30000000000000004 6.123233995736766e-17 1e-30",
    "M000 00.00L-0-0",
    "M3.4e3 3e-38L1e37 -1e37",
]


def compiled(document: str | bytes, tolerance: float = 0.1) -> bool:
    """Whether the compiled reader answers; then the general one must give the very same."""
    data = document.encode() if isinstance(document, str) else document
    drawn = plain_documents([data], tolerance)
    if not drawn.counts[0]:
        return False
    general = general_sketch(data, tolerance)
    assert drawn.points.tobytes() == general.points.tobytes(), document[:300]
    assert drawn.stroke_offsets.tolist() == general.offsets.tolist()
    assert drawn.counts.tolist() == [len(general.strokes)]
    found = (drawn.labels[0], drawn.keys[0], drawn.view_boxes[0])
    assert found == (general.label, general.key, general.meta.get("viewBox"))
    return True


def outcome(document: str | bytes) -> str:
    """Who answers: "compiled", "general", or nobody but with one of our errors."""
    if compiled(document):
        return "compiled"
    try:
        sketch_of(document, 0.1)
    except DataError:
        return "refused"
    return "general"
