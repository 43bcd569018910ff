"""The demo: the real thing on one machine, from an empty folder to a mended service, and nothing left of it."""
