"""Simulated camera, lidar and status sensors, and the truth of each frame."""
