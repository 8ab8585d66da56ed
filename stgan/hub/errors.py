"""What the Hub refuses and the network loses, in words that tell a person what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

TOKENS = "https://huggingface.co/settings/tokens"
# The HTTP library under huggingface_hub has changed over time; HfHubHTTPError derives from its error in each version.
CONNECTION_ERRORS = (*HfHubHTTPError.__bases__, OSError)


class HubError(ValueError):
    """The Hub cannot be reached or does not do what it is asked. The message says why, and what to do."""


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Turn what the Hub or the network says into a HubError that tells the person what to do."""
    try:
        yield
    except HubError:
        raise
    except (*CONNECTION_ERRORS, RuntimeError, ValueError) as error:
        raise HubError(explanation(error, repo)) from error


def explanation(error: BaseException, repo: str) -> str:
    """One sentence for an error of huggingface_hub, which may lie under others."""
    if isinstance(error, LocalTokenNotFoundError):
        return f"You are not logged in: run hf auth login with a token that may write ({TOKENS}), or set HF_TOKEN."
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing can be sent: unset it to publish."
    if isinstance(error, HfHubHTTPError):
        return _refusal(error.response.status_code, repo, error)
    if isinstance(error, OSError) and error.filename:  # a file of this machine
        return str(error)
    if isinstance(error, CONNECTION_ERRORS):
        return (
            f"The connection to the Hub was lost ({error or type(error).__name__}). Run the same command again: what "
            "has arrived is not sent twice."
        )
    return str(error) if error.__cause__ is None else explanation(error.__cause__, repo)


def _refusal(status: int, repo: str, error: HfHubHTTPError) -> str:
    if status == 401:
        return f"The Hub does not accept your token; it may have expired. Make a new one ({TOKENS}) and log in with it."
    if status in (402, 403):
        return (
            f"You may not write to {repo}: use a token with write access ({TOKENS}), and a repository of your own or "
            "of an organisation you belong to. Without such rights, --create-pr suggests a change."
        )
    if status == 404:
        return f"The Hub knows no {repo}, or not this revision of it, or hides it from your token: check the names."
    if status in (409, 412):
        return f"{repo} was changed by someone else at the same moment: look at it, and run the same command again."
    if status == 429 or status >= 500:
        return (
            f"The Hub cannot answer just now ({status}). Run the same command again in some minutes: what has arrived "
            "is not sent twice."
        )
    return f"The Hub refused ({error})."
