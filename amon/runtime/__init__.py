"""A running node: the one path every request takes, and its mirror on the asking side.

At a site:   message -> account -> (chat | payload) -> dispatch: parse, decide, journal, run, journal -> answer
At a console: names, line -> gather: deliver, collect, close the books

`Dispatch` is the only way to a module's method, whoever asks and through whatever front. Fronts (`chat`, `payload`)
turn what arrived into an `Incoming` and what became of it into what this asker reads.
"""
