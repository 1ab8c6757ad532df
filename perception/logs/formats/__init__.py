"""Readers of formats that are neither MCAP nor bags: one file each, and what they share.

A reader makes one `Stream` for each topic (`perception.logs.formats.streams`) whose content is a message in a
schema of Foxglove, or JSON (`perception.logs.formats.encoding`), and returns `streams_log` of them.
"""
