"""`amon shell`: one connection that stays, a prompt that completes from the live fleet, sessions that print above it.

The pure part: `said.py` (what a line means), `asking.py` (with which options), `kinds.py` (what sites of a kind can be
asked), `picture.py` (prompt and toolbar). What waits: `learning.py` (asks a site of each kind what it can be asked;
`overheard.py`: from what was asked anyway), `work.py` (lines one after the other, sessions beside them), `desk.py`
(does one line), `seen.py` (shows it), `link.py` (the connection). Two fronts: `terminal.py` (prompt_toolkit, with
`completer.py` and `history.py`) and `script.py`.

Nothing that a person types is sent to a site so that it can be completed: only words that sites gave us before.
"""
