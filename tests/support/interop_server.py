"""Our server, in a process of its own, for clients that are none of ours."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any
from urllib.parse import urlencode

from support import programs


class EchoServer:
    """The server, run by `echo_server.py`."""

    _ids = itertools.count()

    def __init__(self, program: programs.Program) -> None:
        self._program = program
        self.port = int(program.wait_for_line(r"^port (\d+)$")[1])

    def url(self, path: str, **query: object) -> str:
        """Return a URL that no other test uses."""
        return f"ws://127.0.0.1:{self.port}{path}?{urlencode({**query, 'id': next(self._ids)})}"

    def closing(self, url: str) -> tuple[int, str]:
        """Wait until the server has closed the connection of a URL: its code and reason."""
        query = json.dumps(url.partition("?")[2])
        report: dict[str, Any] = json.loads(self._program.wait_for_line(re.escape(query)).string)
        return report["code"], report["reason"]
