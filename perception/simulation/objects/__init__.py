"""The shapes and colours of vehicles, people and props."""
