"""The one exception for wrong user input."""

from __future__ import annotations


class InputError(ValueError):
    """A value that the user gave is wrong.

    The message names the value, says what is allowed and what to do. The command-line tools print
    it as one line and exit with status 2 instead of showing a traceback.

    Args:
        message (str): The whole message. It is the only argument, because MMEngine's registries
            raise a caught exception again with a longer message.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)


def message_of(error: InputError) -> str:
    """The message of an error as it was first raised.

    A data loader's worker sends its exception as a text that holds the worker's whole traceback,
    and PyTorch raises the same class again with that text.

    Args:
        error (InputError): The error, from this process or from a worker.

    Returns:
        str: The message alone.
    """
    return str(error).rpartition("InputError: ")[2].strip()
