"""Policies that name the canvas, side by side: what each sees, what it spends, what it finds."""
