"""What stands on a terminal once a program has written this: lines, and what moves the cursor. Source: ECMA-48."""

import re

# What erases or moves, a colour or a mode that has no letters, or a character.
_PIECE = re.compile(r"\x1b\[(?P<number>[\d;?]*)(?P<act>[A-Za-z])|(?P<one>.)", re.DOTALL)


def on_screen(written: str, width: int) -> list[str]:
    """The lines, also those that were scrolled away. Only what rich and a terminal's own echo write is understood."""
    lines, row, column = [""], 0, 0
    for piece in _PIECE.finditer(written):
        if piece["act"] == "A":
            row = max(0, row - int(piece["number"] or 1))
        elif piece["act"] == "K":
            lines[row] = ""
        elif piece["act"] in ("m", "h", "l"):
            continue
        elif piece["one"] == "\r":
            column = 0
        else:
            assert piece["one"] is not None, f"{piece[0]!r} is not understood"
            if piece["one"] == "\n" or column == width:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            if piece["one"] != "\n":
                lines[row] = lines[row].ljust(column)[:column] + piece["one"] + lines[row][column + 1 :]
                column += 1
    return [line.rstrip() for line in lines]
