"""Weights fetched from the Hugging Face Hub, which a server on this machine plays: cut, missing, forged, offline."""

import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from safetensors.torch import save

from striate import modelfile
from striate.base.errors import OutputError, WeightsError
from striate.models import MODELS, build
from striate.weights import conversion, create, pretrained
from striate.weights.pretrained import Hub, Pretrained
from tests.conftest import HANGING

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PATH = "/someone/lenet/resolve/main/model.safetensors"


@dataclass
class PlayedHub:
    """What the server serves and how it misbehaves; ``asked`` lists the requests, with their Range."""

    content: bytes
    cut: int = 0
    cut_at: int = 100_000
    status: int = 200
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        wanted = request.headers.get("Range")
        self.asked.append((request.command, wanted))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        if self.status != 200 or request.path != PATH:
            request.send_response(self.status if self.status != 200 else 404)
            request.send_header("X-Error-Code", "EntryNotFound" if self.status == 404 else "Trouble")
            request.send_header("X-Repo-Commit", COMMIT)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        part = self.content[start:]
        request.send_response(206 if wanted else 200)
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        request.send_header("Content-Length", str(len(part)))
        request.send_header("Accept-Ranges", "bytes")
        if wanted:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.end_headers()
        if not body:
            return
        if self.cut:
            self.cut -= 1
            part = part[: self.cut_at]
            request.close_connection = True
        request.wfile.write(part)


@pytest.fixture(scope="module")
def weights() -> bytes:
    return save(build("lenet5", classes=10, seed=4).state_dict())


@pytest.fixture
def hub(weights: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[PlayedHub]:
    """A server on this machine that huggingface_hub takes for the Hub; waiting between attempts takes no time."""
    played = PlayedHub(weights)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            played.answer(self, body=False)

        def do_GET(self) -> None:
            played.answer(self, body=True)

        def log_message(self, format: str, *words: object) -> None:
            pass

    import huggingface_hub
    from huggingface_hub import constants

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)  # seconds until it sees its end
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)
    for limit in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setattr(constants, limit, HANGING)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    huggingface_hub.close_session()
    yield played
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture(autouse=True)
def row(weights: bytes, monkeypatch: pytest.MonkeyPatch) -> Pretrained:
    """``lenet5`` gets weights on the hub."""
    row = Pretrained(
        origin="someone",
        licence="MIT",
        file="lenet.safetensors",
        source=Hub("someone/lenet", "model.safetensors"),
        preprocess=MODELS["lenet5"].preprocess,
        classes="digits",
        sha256=hashlib.sha256(weights).hexdigest(),
        megabytes=0.2,
    )
    put(row, monkeypatch)
    return row


def put(row: Pretrained, monkeypatch: pytest.MonkeyPatch) -> None:
    table = MappingProxyType({**pretrained.PRETRAINED, "lenet5": row})
    for module in (pretrained, conversion, modelfile):
        monkeypatch.setattr(module, "PRETRAINED", table)


def is_there(cache: Path) -> bool:
    return any(cache.glob("*")) if cache.exists() else False


def test_fetched_once_verified_and_kept(hub: PlayedHub, cache: Path, weights: bytes) -> None:
    said: list[str] = []
    network = create("lenet5", classes=10, weights="pretrained", on_notice=said.append)
    wanted = build("lenet5", classes=10, seed=4).state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in network.state_dict().items())
    assert [method for method, _ in hub.asked] == ["HEAD", "HEAD", "GET"]  # is it there; where is the file; the file
    (text,) = said
    assert "fetching the pretrained weights of lenet5 (MIT, 0.2 MB) from http://127.0.0.1:" in text
    assert (cache / "lenet.safetensors").read_bytes() == weights
    assert sorted(path.suffix for path in cache.iterdir()) == [".safetensors"] * 2  # nothing of the download is left
    create("lenet5", classes=10, weights="pretrained", on_notice=pytest.fail)
    for converted in cache.glob("lenet5-*"):
        converted.unlink()
    create("lenet5", classes=10, weights="pretrained", on_notice=pytest.fail)
    assert len(hub.asked) == 3


def test_nobody_is_told_who_fetches(hub: PlayedHub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    create("lenet5", classes=10, weights="pretrained")
    assert not any("authorization" in headers for headers in hub.headers)


def test_by_name_wherever_a_model_is_named(hub: PlayedHub, cache: Path) -> None:
    said: list[str] = []
    network, description = modelfile.open_model("lenet5", on_notice=said.append)
    assert len(said) == 1 and not network.training
    assert description.classes.names == tuple("0123456789")
    assert description.provenance["licence"] == "MIT"


def test_a_cut_connection_is_taken_up_where_it_was_cut(hub: PlayedHub, cache: Path, weights: bytes) -> None:
    hub.cut = 2
    create("lenet5", classes=10, weights="pretrained")
    assert (cache / "lenet.safetensors").read_bytes() == weights
    first, second, third = [wanted for method, wanted in hub.asked if method == "GET"]
    assert first is None and second is not None and third is not None
    starts = [int(wanted.removeprefix("bytes=").removesuffix("-")) for wanted in (second, third)]
    assert 90_000 < starts[0] <= 100_000 < starts[1] <= 200_000


def test_a_connection_that_is_always_cut(hub: PlayedHub, cache: Path, caplog: pytest.LogCaptureFixture) -> None:
    hub.cut, hub.cut_at = 1_000, 0
    with pytest.raises(WeightsError) as error:
        create("lenet5", classes=10, weights="pretrained")
    refuses(error, cache)
    assert len(hub.asked) < 20
    assert not [each for each in caplog.records if each.name.startswith("huggingface_hub")]  # they would be on stderr


def test_another_file_is_not_taken(hub: PlayedHub, cache: Path) -> None:
    hub.content = save(build("lenet5", classes=10, seed=5).state_dict())
    with pytest.raises(WeightsError, match=r"is not the file that was published: its sha256 is .*it was not kept"):
        create("lenet5", classes=10, weights="pretrained")
    assert not is_there(cache)


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_server_that_refuses(hub: PlayedHub, cache: Path, status: int) -> None:
    hub.status = status
    with pytest.raises(WeightsError) as error:
        create("lenet5", classes=10, weights="pretrained")
    refuses(error, cache)


def test_without_a_network(
    cache: Path, hub: PlayedHub, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is said at once: nothing waits to try again, and nothing else is on stderr."""
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("waits to try again"))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nothing listens
    with pytest.raises(WeightsError) as error:
        create("lenet5", classes=10, weights="pretrained")
    refuses(error, cache)
    assert capfd.readouterr().err == ""


def refuses(error: pytest.ExceptionInfo[WeightsError], cache: Path) -> None:
    """One paragraph that says what to download, from where, and where to put it; nothing is left behind."""
    text = str(error.value)
    assert "the pretrained weights of lenet5 cannot be fetched from http://127.0.0.1:" in text and "\n" not in text
    assert "from https://huggingface.co/someone/lenet/resolve/main/model.safetensors" in text
    assert f"put it at {cache / 'lenet.safetensors'}" in text
    assert not is_there(cache)


def test_what_the_message_says_helps(hub: PlayedHub, cache: Path, weights: bytes) -> None:
    hub.status = 404
    cache.mkdir(parents=True)
    (cache / "lenet.safetensors").write_bytes(weights)
    create("lenet5", classes=10, weights="pretrained")
    assert hub.asked == []


def test_nowhere_to_keep_it(hub: PlayedHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"cannot make the cache folder.*STRIATE_CACHE"):
        create("lenet5", classes=10, weights="pretrained")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "weights").write_text("in the way")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "folder"))
    with pytest.raises(OutputError, match="cannot write"):
        create("lenet5", classes=10, weights="pretrained")
    assert hub.asked == []
