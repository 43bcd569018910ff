"""An agent's end of the engine: one job, however many engines there are. Needs no numpy.

`client` is where one begins.
"""
