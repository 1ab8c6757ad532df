"""Slices of the data by condition, each compared with the rest."""
