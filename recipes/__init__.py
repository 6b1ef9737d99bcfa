"""Trainings one can read top to bottom, their data, evaluation, report and command line."""
