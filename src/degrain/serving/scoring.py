"""A process that runs one model: MLflow's own scoring server, on a socket that it is handed.

Run by its path, so that `degrain` is what was logged with the model, not what serves it. It ends when
its standard input does: with whoever started it, however that one ended.
"""

from __future__ import annotations

import os
import sys
import threading


def main() -> None:
    """Load the model in the folder that is the first argument; the second numbers the socket."""
    folder, socket = sys.argv[1:]
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import uvicorn
    from mlflow.pyfunc import load_model
    from mlflow.pyfunc.scoring_server import init

    uvicorn.run(init(load_model(folder)), fd=int(socket), log_level="warning", access_log=False)


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
