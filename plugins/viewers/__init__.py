"""Viewers: runs as Rerun recordings, and live in Foxglove."""
