"""A worker that says it serves and ends when it is told to, as its first argument says:

obedient    ends with status 0 on SIGTERM
deaf        does not end on SIGTERM
failing     ends with status 3 before it serves
passing     ends with status 4 as soon as it serves
until FILE  is obedient, and failing once FILE exists
"""

import signal
import socket
import sys
from pathlib import Path

behaviour = sys.argv[1]
if behaviour == "until":
    behaviour = "failing" if Path(sys.argv[2]).exists() else "obedient"
if behaviour == "failing":
    sys.exit(3)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
signal.signal(
    signal.SIGTERM, signal.SIG_IGN if behaviour == "deaf" else lambda number, frame: sys.exit(0)
)
with socket.socket(fileno=int(sys.argv[sys.argv.index("--parent") + 1])) as link:
    link.send(b"ready\n")
    if behaviour == "passing":
        sys.exit(4)
    link.recv(1)
