"""A small FTP server on loopback that behaves badly on request."""

from __future__ import annotations

import socket
import threading


class FtpServer:
    """Serves one file at every path, each session in a thread.

    Attributes:
        starts: the byte from which each transfer was asked for.
        folders: the folder in which each was.
        break_after: bytes after which the next transfers break off, data and control connection together.
        unknown: commands that it does not know.
        missing: whether there is no file.
        changed: time of the file's last change.
    """

    def __init__(self, content: bytes):
        self.content = content
        self.starts: list[int] = []
        self.folders: list[list[str]] = []
        self.break_after: list[int] = []
        self.unknown: set[str] = set()
        self.missing = False
        self.changed = "20220101120000"
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"ftp://127.0.0.1:{self.port}/cs/some%20group/set.zip"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                control, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._session, args=(control,), daemon=True).start()

    def _session(self, control: socket.socket) -> None:
        folder, start, data = [], 0, None
        with control, control.makefile("r") as lines:

            def say(answer: str) -> None:
                control.sendall(f"{answer}\r\n".encode())

            say("220 ready")
            for line in lines:
                command, _, word = line.strip().partition(" ")
                if command in self.unknown:
                    say("502 not implemented")
                elif command == "USER":
                    say("331 any password")
                elif command in ("PASS", "TYPE"):
                    say("230 fine")
                elif command == "CWD":
                    folder.append(word)
                    say("250 there")
                elif self.missing:
                    say("550 no such file")
                elif command == "SIZE":
                    say(f"213 {len(self.content)}")
                elif command == "MDTM":
                    say(f"213 {self.changed}")
                elif command == "PASV":
                    data = socket.create_server(("127.0.0.1", 0))
                    high, low = divmod(data.getsockname()[1], 256)
                    say(f"227 Entering (127,0,0,1,{high},{low})")
                elif command == "REST":
                    start = int(word)
                    say("350 from there")
                elif command == "RETR":
                    self.starts.append(start)
                    self.folders.append(folder)
                    say("150 it comes")
                    with data:
                        connection, _ = data.accept()
                    with connection:
                        body, start = self.content[start:], 0
                        if self.break_after:
                            connection.sendall(body[: self.break_after.pop(0)])
                            return
                        connection.sendall(body)
                    say("226 done")
                else:
                    say("500 what?")
