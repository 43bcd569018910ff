"""What an agent can be asked: one file or folder per module, found by entry point."""
