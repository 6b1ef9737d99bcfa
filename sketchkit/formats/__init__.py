"""File formats, one module each; `sketchkit.reading` finds the one that fits."""
