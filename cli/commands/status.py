"""`potp2p status`: what the node on this machine does now."""

from typing import Annotated

import typer

from cli.options import DataFolder, Json
from cli.output import print_document, print_lines

_DEADLINE_SECONDS = 2.0


def status(
    datadir: DataFolder = None,
    json_output: Json = False,
    ready: Annotated[
        bool, typer.Option("--ready", help="Print nothing; exit 0 when synced.")
    ] = False,
) -> int:
    """Show what the running node does; exit 4 when none runs, 1 when it reports an error."""
    from cli.work.summary import is_ready, status_text
    from potp2p.api.status_client import read_status
    from potp2p.observability.representation import decode_document
    from potp2p.settings.paths import node_paths

    encoded = read_status(node_paths(datadir).status_socket, _DEADLINE_SECONDS)
    document = decode_document(encoded)
    if ready:
        return 0 if is_ready(document) else 1
    if json_output:
        print_document(document)
    else:
        print_lines(*status_text(document))
    return 1 if document.get("alerts") else 0
