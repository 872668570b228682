"""`rankwise serve`: one base and every adapter trained on it, over OpenAI's API."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from rankwise.cli.screen import answering

MODEL = "smollm2-135m"
STOPPED = 130


def serve(
    model: Annotated[
        str,
        typer.Argument(metavar="[MODEL]", help="Embedded name, folder of a transformers model, .gguf file, or hub id."),
    ] = MODEL,
    host: Annotated[str, typer.Option(help="Address to listen on; any but this machine's own needs API keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8000,
    slots: Annotated[int, typer.Option(min=1, max=1024, help="Answers that are written at once.")] = 48,
    adapter_memory: Annotated[
        int, typer.Option(min=1, metavar="MIB", help="Memory of all loaded adapters; the longest unused give way.")
    ] = 1024,
    key: Annotated[
        Literal["chat", "admin"] | None,
        typer.Option("--new-key", help="Make an API key, print it, and leave.", show_default=False),
    ] = None,
) -> None:
    """Serve a base and its adapters over OpenAI's API."""
    with answering(False) as screen:
        from rankwise import api

        if key is not None:
            screen.write(api.new_api_key(key) + "\n")
            return
        with screen.watching() as observer:
            server = api.serve(model, host, port, slots, adapter_memory << 20, observer)
        from rankwise.serve.server import log_to_standard_error

        screen.note(f"http://{host}:{port}/v1; Ctrl-C ends")
        log_to_standard_error()
        try:
            server.run()
        except KeyboardInterrupt:  # it has answered what it had begun
            raise typer.Exit(STOPPED) from None
