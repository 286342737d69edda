"""Serves a trained model over HTTP, with a page to try it.

    python scripts/serve.py --run runs/mine
    curl localhost:8000/predict --json '{"text": "What a day"}'

The page is http://localhost:8000/. Other endpoints: /explain, /metadata, /health, /metrics (Prometheus), /openapi.json.
Only this machine can reach the server; --host 0.0.0.0 opens it to the network. Ctrl-C answers what is in flight and stops.
"""

import argparse
import signal
import socket
import warnings
from pathlib import Path

from mla_train.commands import add_run, command_parser, load_run
from mla_train.errors import UserError, run_script

LOCAL = ("127.0.0.1", "localhost", "::1")


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = command_parser(__doc__)
    add_run(parser)
    parser.add_argument("--host", default="127.0.0.1", help="address that is listened on (default: this machine alone)")
    parser.add_argument("--port", type=int, default=8000, help="port (default: 8000; 0 takes a free one)")
    return parser.parse_args()


def bind(host: str, port: int) -> socket.socket:
    """A socket at an address; a UserError where it cannot be taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # without the last, asyncio delays packets
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        raise UserError(f"--host {host} --port {port}: {error}") from error
    return listener


def serve(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        UserError: There is no model, a package is missing, or the address is taken.
    """
    try:
        import uvicorn

        from mla_train.inference.serve.app import create_app
        from mla_train.inference.serve.connections import PatientProtocol
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is missing: pip install 'mla-train[serve]'") from None
    warnings.filterwarnings("ignore", r"Glyph .* missing")  # matplotlib's, for each sign that a figure lacks
    run: Path = arguments.run
    predictor = load_run(arguments)

    import torch

    from mla_train.training.results import read_results

    if torch.cuda.is_available():
        predictor.network.to("cuda")
    results = next((file for file in (run / "results.json", run.parent / "results.json") if file.is_file()), None)
    app = create_app(predictor, read_results(results) if results else {})
    server = uvicorn.Server(
        uvicorn.Config(app, log_level="warning", http=PatientProtocol, proxy_headers=False, server_header=False)
    )
    with bind(arguments.host, arguments.port) as listener:
        host, port = listener.getsockname()[:2]
        print(f"serving {run} at http://{f'[{host}]' if ':' in host else host}:{port} (Ctrl-C stops)", flush=True)
        if arguments.host not in LOCAL:
            print("everyone who can reach this machine over the network can use it", flush=True)
        signal.signal(signal.SIGTERM, lambda *_: None)  # uvicorn stops cleanly, then raises it again
        server.run([listener])


def main() -> None:
    """Serves until it is stopped, or says in one line what is wrong."""
    run_script(lambda: serve(parse_arguments()))
