"""`amon-engine` around the loop: command line, configuration, rights, one process for each core."""
