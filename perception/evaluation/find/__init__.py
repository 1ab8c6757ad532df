"""Moments of recordings that fulfil a condition, from their tables."""

from perception.evaluation.find.find_moments import FoundMoment, FoundMoments, find_moments, names_of_tables

__all__ = ["FoundMoment", "FoundMoments", "find_moments", "names_of_tables"]
