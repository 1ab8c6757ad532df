"""Payloads to the nouns of `perception.types`: one file per encoding, one way in."""

from perception.logs.decoding.dispatch import decode, sensor_kind

__all__ = ["decode", "sensor_kind"]
