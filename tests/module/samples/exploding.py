"""A module that breaks while it is imported."""

raise ZeroDivisionError("at import")
