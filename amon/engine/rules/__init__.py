"""Who may have what probed, and how much of it."""
