"""What the engine does at each turn: `loop`, and what it turns.

orders, jobs, keeping: what is to be probed    order, schedule: when    sending, outbox, ports: out
hearing, batches, captures: in, and to whoever asked    monitor: how the engine itself is
"""
