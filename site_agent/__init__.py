"""The agent: the daemon that serves one site."""
