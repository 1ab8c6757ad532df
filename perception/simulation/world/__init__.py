"""Scenes, their surfaces, and their MuJoCo models."""
