"""Visitors' and callers' errors: a message for them, and one line in the server's log."""

import logging

import gradio as gr

logger = logging.getLogger("stgan.demo")


class RefusedError(gr.Error):
    """A request that cannot be met; the message says what to do."""

    def __init__(self, message: str):
        super().__init__(message, print_exception=False)


def log(error: Exception) -> str:
    """Write an error to the log, and return its message."""
    message = getattr(error, "message", str(error))
    logger.warning("Refused: %s", " ".join(message.split()))  # a file's name could hold line breaks
    return message
