"""Completion of `amon` in bash, zsh and fish: click's, mended where it breaks on what targets are made of.

bash takes `:`, `=` and `@` for the ends of words, so it has to be told the rest of a word only; click's script for fish
cuts what is proposed at a comma. Whatever is typed or proposed is data for these scripts: nothing of it is expanded.
Sources: bash(1), Programmable Completion, COMP_WORDBREAKS; complete(1) of fish; click.shell_completion.
"""

import os
from typing import Any

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)  # fmt: skip

_BASH = r"""
%(complete_func)s() {
    local IFS=$'\n' kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("$value") ;;
        esac
    done < <(env COMP_WORDS="${COMP_LINE:0:COMP_POINT}" COMP_PIECE="${COMP_WORDS[COMP_CWORD]}" \
        COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""
_FISH = r"""
function %(complete_func)s
    set -l line (commandline -cp | string collect)
    for one in (env %(complete_var)s=fish_complete COMP_WORDS="$line" %(prog_name)s 2>/dev/null)
        set -l said (string split --max 1 , -- $one)
        switch $said[1]
            case dir
                __fish_complete_directories $said[2]
            case file
                __fish_complete_path $said[2]
            case plain
                printf '%%s\n' $said[2]
        end
    end
end
complete --no-files --command %(prog_name)s --arguments '(%(complete_func)s)'
"""


def _split(line: str) -> tuple[list[str], str]:
    """The words behind the program's name, and the one that is being typed: empty after a blank."""
    *words, last = split_arg_string(line + "x")  # the x goes to wherever the cursor is, inside quotes, too
    return words[1:], last[:-1]


class Bash(BashComplete):
    """What bash is given begins where it thinks that the word does."""

    source_template = _BASH

    def get_completion_args(self) -> tuple[list[str], str]:
        words, self._whole = _split(os.environ["COMP_WORDS"])
        return words, self._whole

    def format_completion(self, item: CompletionItem[Any]) -> str:
        return f"{item.type},{item.value[self._behind() :]}" if item.type == "plain" else f"{item.type},{item.value}"

    def _behind(self) -> int:
        """How many characters of the word bash keeps as they are."""
        if "COMP_PIECE" not in os.environ:
            return 0
        piece = os.environ["COMP_PIECE"].lstrip("'\"")
        if piece and all(one in os.environ.get("COMP_WORDBREAKS", "") for one in piece):
            piece = ""
        return len(self._whole) - len(piece) if self._whole.endswith(piece) else 0


class Fish(FishComplete):
    """fish itself knows where words end."""

    source_template = _FISH

    def get_completion_args(self) -> tuple[list[str], str]:
        return _split(os.environ["COMP_WORDS"])


def completion_class(shell: str) -> type[ShellComplete]:
    """Ours, where we have one."""
    register()
    found = get_completion_class(shell)
    assert found is not None
    return found


def register() -> None:
    """From now on click uses these."""
    add_completion_class(Bash)
    add_completion_class(Fish)
