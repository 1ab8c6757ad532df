"""Reading MCAP with an account of every message, also of damaged files; and writing it."""
