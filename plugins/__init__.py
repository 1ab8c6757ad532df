"""The plugins and adapters that come with the project."""
