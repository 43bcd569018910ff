"""Packets at rate: ICMP echo probes to very many addresses, each scheduled, crafted, sent, matched and accounted for.

The engine is a process of its own, `amon-engine`; nothing in it is asynchronous. Agents talk to it over a unix
SOCK_SEQPACKET. Inside, data flows one way, as numpy columns:

    turn.schedule ─ rules ─ packets.table ─ packets.frames ─ turn.outbox ─ ways: Transmitter ══► network
                                 │                                                                  │
    asking ◄─ desk ◄─ turn.batches ◄─ packets.table ◄─ packets.decode ◄─ ways: Receiver ◄══════════╯

From the top: `program` is the process around it, `turn` has the loop and what it turns, `asking` is the agent's end
(which needs no numpy), `desk` where agents come to, `packets` columns without a system call, `ways` how packets get out
and in, `rules` who may what, `paths` next hops, `capture` pcap files, `linux` what the kernel offers. `shapes` has the
columns that travel between the rooms and the two interfaces every way has; `messages` what travels to agents.

Nobody counts on a packet: each is in exactly one count at its end, and each layer says what it dropped.
"""
