"""What can go wrong, as one tree.

    SketchkitError
    ├── DataError (ValueError)        a file or a record does not hold what it should
    │   └── FormatError               no format fits the file, or the one named is unknown
    ├── MissingDataError (FileNotFoundError)   a path that should be there is not
    ├── ParameterError (ValueError)   an argument or a setting is out of range
    ├── MissingDependencyError (ImportError)   a package or a system library is not installed
    ├── WeightsError (ValueError)     a weights file is absent, corrupt or of another network
    ├── AdaptError (ValueError)       a network cannot be adapted as asked
    └── OutputError (OSError)         results cannot be written

and `SketchkitWarning` for what was left out without an error.

Deep code states a fact ("stroke 3 has 5 x but 4 y"); the public call adds the file, the record and the way out.
"""

from __future__ import annotations

__all__ = [
    "AdaptError",
    "DataError",
    "FormatError",
    "MissingDataError",
    "MissingDependencyError",
    "OutputError",
    "ParameterError",
    "SketchkitError",
    "SketchkitWarning",
    "WeightsError",
]


class SketchkitError(Exception):
    """Base of every error that sketchkit raises on purpose; the command line prints it in one line."""

    def __str__(self) -> str:
        # OSError would print "[Errno ...]" and KeyError would quote: the message alone is what a reader needs.
        return str(self.args[0]) if self.args else ""


class DataError(SketchkitError, ValueError):
    """A file or a record does not hold what it should."""


class FormatError(DataError):
    """No known format fits a file, or the format asked for is not known."""


class MissingDataError(SketchkitError, FileNotFoundError):
    """A path that should be there is not."""


class ParameterError(SketchkitError, ValueError):
    """An argument or a setting is out of its range."""


class MissingDependencyError(SketchkitError, ImportError):
    """A Python package or a system library that this call needs is not installed."""


class WeightsError(SketchkitError, ValueError):
    """A weights file is absent, corrupt, or belongs to another network."""


class AdaptError(SketchkitError, ValueError):
    """A network cannot be adapted as asked."""


class OutputError(SketchkitError, OSError):
    """Results cannot be written."""


class SketchkitWarning(UserWarning):
    """Something was left out, as asked or because a format has no place for it."""
