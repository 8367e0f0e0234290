"""What a public verb sets for itself in torch: the caller's state does not reach in, and is as it was afterwards."""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch

from striate.base.hardware import cores, physical_cores

_CPU = torch.device("cpu")
_GENERATORS: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "cuda": (torch.cuda.get_rng_state_all, torch.cuda.set_rng_state_all),
    "mps": (torch.mps.get_rng_state, torch.mps.set_rng_state),
}


class _Settings:
    """Settings of the whole process: the first thread that needs them sets them, the last puts back what was there."""

    def __init__(self, *settings: tuple[Callable[[], Any], Callable[[Any], None]]) -> None:
        self._settings = settings
        self.release()

    def release(self) -> None:
        """Nobody needs them: in a forked process the threads that did are not there."""
        self._lock, self._users, self._before = threading.Lock(), 0, list[Any]()

    @contextmanager
    def held(self, *values: Any) -> Iterator[None]:
        with self._lock:
            if not self._users:
                self._before = [read() for read, _ in self._settings]
            self._users += 1
            self._set(values)
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    self._set(self._before)

    def _set(self, values: Sequence[Any]) -> None:
        for (read, write), value in zip(self._settings, values, strict=True):
            if read() != value:
                write(value)


def _precision(operation: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    """How oneDNN rounds in float32, where this torch lets one say so: "ieee" is as usual."""
    place = getattr(torch.backends.mkldnn, operation, None)
    return (lambda: getattr(place, "fp32_precision", "ieee")), (lambda value: setattr(place, "fp32_precision", value))


_NUMBERS = _Settings(
    (torch.get_default_dtype, torch.set_default_dtype), *(_precision(operation) for operation in ("matmul", "conv"))
)
_THREADS = _Settings((torch.get_num_threads, torch.set_num_threads))


@contextmanager
def own_modes() -> Iterator[None]:
    """Within, new tensors are float32 on the CPU, computed as written, and gradients are on."""
    with ExitStack() as held, _NUMBERS.held(torch.float32, "ieee", "ieee"):
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                held.enter_context(torch.autocast(kind, enabled=False))
        if torch.is_inference_mode_enabled():
            held.enter_context(torch.inference_mode(False))
        if not torch.is_grad_enabled():
            held.enter_context(torch.enable_grad())
        if torch.get_default_device() != _CPU:  # who enters one makes each call of torch a little slower
            held.enter_context(_CPU)
        yield


@contextmanager
def own_draws(device: torch.device = _CPU) -> Iterator[None]:
    """What is drawn within leaves the random numbers that others draw afterwards as they were, the device's too."""
    read, write = _GENERATORS.get(device.type, (lambda: None, lambda state: None))
    state = read()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            write(state)


class Draws:
    """The random numbers that torch draws from this moment on, the device's too: to be drawn again later."""

    def __init__(self, device: torch.device = _CPU) -> None:
        self._device = device
        self._read, self._write = _GENERATORS.get(device.type, (lambda: None, lambda state: None))
        self._states = torch.get_rng_state(), self._read()

    @contextmanager
    def again(self) -> Iterator[None]:
        """Within, they are drawn; what others draw afterwards is as it was."""
        with own_draws(self._device):
            state, of_device = self._states
            torch.set_rng_state(state)
            self._write(of_device)
            yield


@contextmanager
def own_state() -> Iterator[None]:
    """`own_modes`, `own_draws`, and a thread for each core, however many the caller takes."""
    with own_draws(), _THREADS.held(torch.get_num_threads() if _Threads.forked else _most_threads()), own_modes():
        yield


class _Threads:
    fitted: int | None = None  # as many as we once told torch to take
    forked = False


def fit_threads() -> None:
    """Let torch take a thread for each core, or as many as ``OMP_NUM_THREADS`` says, unless somebody chose fewer.

    Torch takes all physical cores; fewer, or after us any other number, was somebody's choice.
    """
    one_thread_in_children()
    now, most = torch.get_num_threads(), _most_threads()
    chosen = now < min(most, physical_cores()) if _Threads.fitted is None else now != _Threads.fitted
    if now != most and not chosen and not _Threads.forked:
        torch.set_num_threads(most)
        _Threads.fitted = most


@cache
def one_thread_in_children() -> None:
    """From now on a forked process computes with one thread: it would wait for OpenMP's, which are not there."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_in_child)


def _in_child() -> None:
    _NUMBERS.release()
    _THREADS.release()
    _Threads.forked = True
    torch.set_num_threads(1)


def _most_threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return min(cores(), int(asked)) if asked.isdecimal() and int(asked) else cores()
