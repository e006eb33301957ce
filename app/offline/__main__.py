"""``python -m app.offline``: the server with its simulation from the command line or a JSON file."""

from __future__ import annotations

import argparse
from pathlib import Path

from app.offline.classify import TRAINING_FILE
from app.offline.server import serve
from app.offline.simulation import Simulation


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m app.offline", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--state-dir", type=Path, default=Path(".deskstream"))
    parser.add_argument("--log", type=Path, help="append one JSON line for each request answered")
    parser.add_argument("--training-file", type=Path, default=TRAINING_FILE)
    parser.add_argument("--simulation", help="JSON of the simulation's fields, or @FILE")
    parser.add_argument("--instant", action="store_true", help="canned answers without embeddings")
    parser.add_argument("--allow-remote", action="store_true", help="bind beyond loopback; there is no authentication")
    options = parser.parse_args()
    given = options.simulation or "{}"
    simulation = Simulation.model_validate_json(Path(given[1:]).read_bytes() if given.startswith("@") else given)
    if options.instant:
        simulation = simulation.model_copy(update={"instant": True})
    serve(
        options.host,
        options.port,
        options.state_dir,
        simulation,
        call_log=options.log,
        training_file=options.training_file,
        allow_remote=options.allow_remote,
        on_listening=lambda url: print(url, flush=True),
    )


if __name__ == "__main__":
    main()
