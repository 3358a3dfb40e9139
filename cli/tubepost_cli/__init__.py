"""The `tubepost` command."""
