"""Tables of results over folds and seeds: each cell a training of its own, what is finished kept as small files."""
