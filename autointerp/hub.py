"""Whether the HuggingFace hub can be reached and has a name."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Literal

__all__ = ["HubUnknown", "HubUnreachable", "look_up", "network_errors"]

TIMEOUT_S = 15.0


class HubUnknown(Exception):
    """The hub has nothing of that name that this user may read."""


class HubUnreachable(Exception):
    """The hub did not answer, or HF_HUB_OFFLINE is set."""


def look_up(name: str, *, kind: Literal["model", "dataset"]) -> str:
    """The commit the hub has for a name. Raises HubUnknown or HubUnreachable, with the reason in one line."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

    # asked once, first: transformers and datasets try an unreachable hub for 25 s, then raise errors of several kinds
    hub = HfApi()
    try:
        info = (hub.model_info if kind == "model" else hub.dataset_info)(name, timeout=TIMEOUT_S)
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise HubUnknown(_reason(error)) from error
    except (HfHubHTTPError, OfflineModeIsEnabled, *network_errors()) as error:
        raise HubUnreachable(_reason(error)) from error
    return info.sha or ""


def network_errors() -> tuple[type[Exception], ...]:
    """What a broken connection raises, whichever transport the hub's client uses."""
    transports = [import_module(name) for name in ("httpx", "httpx2") if find_spec(name) is not None]
    return (*(transport.HTTPError for transport in transports), OSError)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
