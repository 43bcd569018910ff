"""The command line of `amon`: what can be said to it. Each file only reads words and calls what does the work."""
