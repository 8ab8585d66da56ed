"""The command and its terminal: names of files may hold anything, memory may run out, and the folder may be gone."""

import os
import sys


def check_folder(program: str) -> None:
    """End the program with a sentence if the folder that it was started in was deleted: torch would not load there."""
    try:
        os.getcwd()
    except OSError:
        sys.exit(f"{program}: The folder that you are in was deleted or is closed to you: cd to another one.")


def printable(text: str) -> str:
    """Text without control characters but the ends of lines: in the name of a file they would command the terminal."""
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


def lacks_memory(error: Exception) -> bool:
    """Whether an error of Python, torch or OpenCV says that memory could not be had."""
    words = ("allocate memory", "not enough memory", "Insufficient memory", "Failed to allocate")
    return isinstance(error, MemoryError) or any(each in str(error) for each in words)
