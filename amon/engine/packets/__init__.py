"""From probes to frames and from what came in to what became of each: columns in, columns out, no system call."""
