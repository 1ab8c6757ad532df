"""The command line, with one package per command."""
