"""Attacks on the project: hostile files, hostile pictures, and trainings that are killed.

A few seconds of each run with the tests. ``python -m attacks`` runs any number of them; see docs/reliability.md.
"""
