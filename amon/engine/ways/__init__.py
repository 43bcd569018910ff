"""The ways to the network: each a file with a transmitter, a receiver, or both, of `amon.engine.shapes`."""
