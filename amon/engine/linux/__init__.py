"""What the Linux kernel offers an engine, in its own terms: one file per interface, sockets and ctypes, no probes."""
