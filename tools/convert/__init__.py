"""The command `perception convert`."""
