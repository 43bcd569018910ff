"""An agent's end of the engine: asks for jobs and hears what became of every packet. Needs no numpy."""
