"""Damaged SVG documents: both readers give the same, or one of our errors; and no kernel reads beyond a document."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from sketchkit.formats.svg_documents import plain_documents

from svg_readers import PATHS, compiled, outcome

SEEDS = [
    '<?xml version="1.0" encoding="utf-8"?>\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8">\n'
    '<g fill="none" transform="translate(1,2) scale(2)">'
    '<path id="0" d="M1 2 C1 2 3.5 4 5 6 "/></g><title>a &amp; b</title></svg>',
    "<svg data-label='a' data-key='é'><!-- x --><line x1='1' y2=\"3\"/><polygon points='1,2 3-4'></polygon></svg>",
    '<svg><g style="fill:none"><g transform="rotate(5)"><path d="m1-2.5l.5.5 3 4zQ1 2 3 4t5 6h1v-2"/></g></g></svg>',
]
_SPECIAL = "<>&\"'/=!-?;:[]()., \n\t\x00é0MZez"


def damaged(rounds: int, seed: int) -> list[bytes]:
    generator = random.Random(seed)
    documents = []
    for _ in range(rounds):
        data = bytearray(generator.choice(SEEDS).encode())
        for _ in range(generator.choice((1, 1, 1, 2, 4))):
            at, kind = generator.randrange(len(data)), generator.choice((0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 5))
            if kind == 0:
                data[at] ^= 1 << generator.randrange(8)
            elif kind == 1:
                data[at:at] = generator.choice(_SPECIAL).encode()
            elif kind == 2:
                data[at : at + 1] = generator.choice(_SPECIAL).encode()
            elif kind == 3:
                del data[at : at + generator.randrange(1, 9)]
            elif kind == 4:
                other = generator.randrange(len(data))
                data[at:at] = data[other : other + generator.randrange(1, 20)]
            else:
                del data[max(at, 2) :]
            data = data or bytearray(b"<")

        documents.append(bytes(data))
    return documents


@pytest.mark.timeout(120)
def test_damaged_documents_are_the_same_by_both_or_refused():
    assert [compiled(seed) for seed in SEEDS] == [True] * len(SEEDS)
    outcomes = [outcome(document) for document in damaged(6000, seed=7)]
    assert outcomes.count("compiled") > 300
    assert outcomes.count("refused") > 1000


def test_many_documents_at_once_are_as_each_alone():
    documents = damaged(400, seed=8)
    drawn = plain_documents(documents, 0.1)
    alone = [plain_documents([document], 0.1) for document in documents]
    assert drawn.counts.tolist() == [one.counts[0] for one in alone]
    assert drawn.points.tobytes() == b"".join(one.points.tobytes() for one in alone)
    assert drawn.labels == [one.labels[0] for one in alone]
    assert drawn.stroke_offsets[-1] == len(drawn.points)


def test_a_twin_in_plain_python_never_reads_beyond_the_document():
    """Run by the test below without the compiler, where an index out of range is an IndexError."""
    documents = [
        *damaged(150, seed=9),
        *(seed.encode()[:length] for seed in SEEDS for length in range(0, len(seed), 3)),
    ]
    for document in documents:
        # A copy that ends where the document does.
        plain_documents([document], 0.1)
    for data in PATHS:
        compiled(f'<svg><path d="{data}"/></svg>')


def test_kernels_stay_within_bounds_without_the_compiler():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "twin", str(Path(__file__))]
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
