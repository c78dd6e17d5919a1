"""Every WSGI server, each in a process of its own, with the application of tests/event_streams."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support import programs

HERE = Path(__file__).parent.parent / "event_streams"
APP = HERE / "app.py"
DEADLINE = 15.0
GUNICORN = {"gevent": ["-k", "gevent"], "gthread": ["-k", "gthread", "--threads", "8"]}
SERVERS = ["pywsgi", "gevent", "gthread", "werkzeug", "waitress", "wsgiref"]


class Served:
    """A server that runs."""

    def __init__(self, name: str, program: programs.Program, port: int) -> None:
        self.name = name
        self.program = program
        self.port = port

    def url(self, path: str = "/", scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    def wait_closed(self, path: str = "/") -> None:
        """Wait until a stream has been closed."""
        self.program.wait_for_line(f"^closed {path}$")

    def noise(self) -> str:
        """Return what was logged and looks like trouble."""
        log = self.program.errors()
        return log if re.search(r"Traceback|Error|WARN", log) else ""


@contextmanager
def serve(name: str, port: int = 0) -> Iterator[Served]:
    """Serve the application, at a port that is given or free."""
    if name in GUNICORN:
        command = [sys.executable, "-m", "gunicorn", *GUNICORN[name], "-b", f"127.0.0.1:{port}"]
        command += ["--chdir", str(HERE), "--graceful-timeout", "1", "--no-control-socket"]
        program = programs.Program([*command, "app:app"], env={"PYTHONPATH": str(programs.ROOT)})
    else:
        program = programs.Program(
            [sys.executable, str(APP), name, str(port)], env={"PYTHONPATH": str(programs.ROOT)}
        )
    with program:
        if name in GUNICORN:
            port = program.wait_for_gunicorn()
        else:
            port = int(program.wait_for_line(r"^port (\d+)$")[1])
        yield Served(name, program, port)
