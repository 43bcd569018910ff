"""What admins use: the commands of `amon`."""
