"""What the command writes to a terminal: names of files may hold anything, and memory may run out anywhere."""


def printable(text: str) -> str:
    """Text without control characters but the ends of lines: in the name of a file they would command the terminal."""
    return "".join(each if each.isprintable() or each == "\n" else "\N{REPLACEMENT CHARACTER}" for each in text)


def lacks_memory(error: Exception) -> bool:
    """Whether an error of Python, torch or OpenCV says that memory could not be had."""
    words = ("allocate memory", "not enough memory", "Insufficient memory", "Failed to allocate")
    return isinstance(error, MemoryError) or any(each in str(error) for each in words)
