"""Where clients come to: who they are, what they order, what they have not read yet. Never blocks."""
