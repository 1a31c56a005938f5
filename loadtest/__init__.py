"""Load tests: what a delivery, a durable message and an idle device cost, and what peers take.

`python -m loadtest --help` lists the scenarios; `loadtest/README.md` says how each one measures.
The server under test is always another process, and this package never imports it.
"""
