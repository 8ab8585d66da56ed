"""Labelled images to train on and to measure with."""
