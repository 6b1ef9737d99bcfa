"""Sketch recognition: the paper's two parts with cross-entropy in place of the triplet (arXiv 2505.23763).

`recipe.run` is the training, to be read from top to bottom; a `recognizer.Recognizer` is what it leaves behind.
"""
