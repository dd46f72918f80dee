"""`degrain preset`."""

from __future__ import annotations

import argparse
import re
import sys

from degrain.commands.arguments import Commands


def add_to(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("preset", help="set up a whole experiment", description=_run.__doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help="a file in presets/ (none: list them)")
    parser.add_argument("--force", action="store_true", help="overwrite changes that git does not hold")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    """Write the values of a preset into params.yaml and show the difference; then run `dvc repro`."""
    from degrain.presets import apply_preset, list_presets

    if options.name is None:
        presets = list_presets()
        width = max(map(len, presets))
        print("\n".join(f"{name:{width}}  {purpose}" for name, purpose in presets.items()))
        return 0
    difference = apply_preset(options.name, force=options.force)
    if sys.stdout.isatty():
        difference = re.sub("^[-+@].*", _coloured, difference, flags=re.MULTILINE)
    print(difference or f"params.yaml has these values already: {options.name}\n", end="")
    return 0


def _coloured(line: re.Match[str]) -> str:
    """A line of a difference as git shows it: red, green or cyan, and headers in bold."""
    text = line[0]
    code = 1 if text.startswith(("---", "+++")) else {"-": 31, "+": 32, "@": 36}[text[0]]
    return f"\x1b[{code}m{text}\x1b[m"
