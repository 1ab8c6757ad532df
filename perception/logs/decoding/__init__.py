"""Payloads to the nouns of `perception.types`: one file per encoding, one way in."""

from perception.logs.decoding.dispatch import bare_times, decode, decoder, sensor_kind

__all__ = ["bare_times", "decode", "decoder", "sensor_kind"]
