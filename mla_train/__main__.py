"""The console command: `mla-train train task=translation`, `mla-train predict --run runs/mine --input reviews.csv`."""

import ast
import sys
from importlib import import_module

from mla_train.errors import did_you_mean
from mla_train.program import COMMANDS, run_program

NAMES = sorted(file.stem for file in COMMANDS.glob("[!_]*.py"))


def usage() -> str:
    """The commands, each with the first line of its help, which is read without importing it."""
    lines = ["usage: mla-train COMMAND ...", ""]
    for name in NAMES:
        text = ast.get_docstring(ast.parse((COMMANDS / f"{name}.py").read_text())) or ""
        lines.append(f"  {name:<10} {text.partition(chr(10))[0]}")
    return "\n".join([*lines, "", "mla-train COMMAND --help explains one."])


def main() -> None:
    """Runs the command that the first word names."""
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        print(usage())
        sys.exit(0 if len(sys.argv) > 1 else 2)
    name = sys.argv[1]
    if name not in NAMES:
        print(f"error: {name}: unknown command. {did_you_mean(name, NAMES)}", file=sys.stderr)
        sys.exit(2)
    sys.argv = [str(COMMANDS / f"{name}.py"), *sys.argv[2:]]
    run_program(import_module(f"mla_train.commands.{name}").main)


if __name__ == "__main__":
    main()
