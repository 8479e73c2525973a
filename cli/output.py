"""stdout carries data, stderr carries talk; one JSON document, or one per line while watching."""

import json
import sys

Document = dict[str, object]


def print_document(document: Document) -> None:
    """Print one JSON document on one line and let a pipe see it at once."""
    sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
    sys.stdout.flush()


def print_lines(*lines: str) -> None:
    """Print data for a person."""
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def say(text: str) -> None:
    """Tell what happens, beside the data."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def is_person_there(*, no_input: bool = False) -> bool:
    """Say whether a question could be answered."""
    return not no_input and sys.stdin.isatty() and sys.stderr.isatty()
