"""Packets at rate: ICMP echo probes to very many addresses, each scheduled, crafted, sent, matched and accounted for.

The engine is a process of its own, `amon-engine`; nothing in it is asynchronous. Agents talk to it over a unix
SOCK_SEQPACKET (`messages`, `client`: these two need no numpy). Inside, data flows one way, as numpy columns:

    schedule ─ guard ─ table.take ─ frames.craft ─ Transmitter ══► network
                          │                                          │
    client ◄─ batch ◄─ table.close ◄─ table.match ◄─ decode ◄─ Receiver

`shapes` has the columns that travel between the rooms and the two interfaces, `Transmitter` and `Receiver`. What runs
them is `loop`. Nobody counts on a packet: each is in exactly one count at its end, and each layer says what it dropped.
"""
