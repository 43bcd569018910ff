"""What was asked of all sites and what came of it: collected, verified against the past, shown."""
