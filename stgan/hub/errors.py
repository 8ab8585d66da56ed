"""Errors of the Hub and of the network as sentences that tell a person what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

TOKENS = "https://huggingface.co/settings/tokens"
# The HTTP library under huggingface_hub has changed over time; HfHubHTTPError derives from its error in each version.
CONNECTION_ERRORS: tuple[type[Exception], ...] = (*cast("tuple[type[Exception]]", HfHubHTTPError.__bases__), OSError)
EXPLAINED_ERRORS: tuple[type[Exception], ...] = (*CONNECTION_ERRORS, RuntimeError, ValueError)


class HubError(ValueError):
    """The Hub cannot be reached or refuses a request. The message says why and what to do."""


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Turn errors of the Hub or the network into a HubError that says what to do."""
    try:
        yield
    except HubError:
        raise
    except EXPLAINED_ERRORS as error:
        raise HubError(explanation(error, repo)) from error


def explanation(error: BaseException, repo: str) -> str:
    """The sentence for an error of huggingface_hub, which may be the cause of other errors."""
    if isinstance(error, LocalTokenNotFoundError):
        return (
            f"You are not logged in: run hf auth login with a token that has write access ({TOKENS}), or set HF_TOKEN."
        )
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set, so nothing can be sent. Unset it to publish."
    if isinstance(error, HfHubHTTPError):
        return _refusal(error.response.status_code, repo, error)
    if isinstance(error, OSError) and error.filename:  # a local file
        return str(error)
    if isinstance(error, CONNECTION_ERRORS):
        return (
            f"The connection to the Hub was lost ({error or type(error).__name__}). Run the same command again; it "
            "sends only what is missing."
        )
    return str(error) if error.__cause__ is None else explanation(error.__cause__, repo)


def _refusal(status: int, repo: str, error: HfHubHTTPError) -> str:
    if status == 401:
        return f"The Hub does not accept your token; it may have expired. Create one ({TOKENS}) and log in with it."
    if status in (402, 403):
        return (
            f"You may not write to {repo}. Use a token with write access ({TOKENS}) and a repository of your own or of "
            "an organisation you belong to, or open a pull request with --create-pr."
        )
    if status == 404:
        return f"The Hub has no {repo} or no such revision, or your token has no access to it. Check the names."
    if status in (409, 412):
        return f"Someone else changed {repo} at the same time. Check it, then run the same command again."
    if status == 429 or status >= 500:
        return (
            f"The Hub could not answer ({status}). Run the same command again in a few minutes; it sends only "
            "what is missing."
        )
    return f"The Hub refused the request ({error})."
