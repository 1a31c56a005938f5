"""What the store raises besides `AnmeiError`.

Exception
└── StoreUnavailable    the database could not be reached, or did not answer in time
"""


class StoreUnavailable(Exception):
    """The database failed twice in a row, on two connections.

    `ambiguous` says that a write may nevertheless have been committed: the answer to its COMMIT is
    what failed. Doing it again with the same ids settles it, without a duplicate.
    """

    def __init__(self, message: str, *, ambiguous: bool = False) -> None:
        super().__init__(message)
        self.ambiguous = ambiguous
