"""A run does not depend on the state of torch that its caller left, and leaves it as it was."""

import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import striate
from striate.base.errors import TrainingError
from striate.training.events import EpochDone


def changes(precision):
    """A network with dropout, so that a number drawn by others would show."""
    stages = [{"epochs": 2, "rate": 0.01}]
    return {"model": "fashion_cnn", "weights": "none", "batch_size": 12, "precision": precision, "stages": stages}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    rng = np.random.default_rng(0)
    y = np.arange(36) % 3
    x = (rng.integers(0, 120, (36, 28, 28)) + 60 * y[:, None, None]).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(path, x=x, y=y)
    return path


@pytest.fixture(scope="module")
def fresh(digits, tmp_path_factory):
    """Runs in processes of their own, by precision; they start together, since most of what they do is to start."""
    runs = {precision: tmp_path_factory.mktemp("runs") / precision for precision in ("float32", "bfloat16")}
    with ExitStack() as ends:
        processes = []
        for precision, run in runs.items():
            code = f"import striate; striate.train({str(digits)!r}, changes={changes(precision)}, out={str(run)!r})"
            processes.append(ends.enter_context(subprocess.Popen([sys.executable, "-c", code])))
        assert [process.wait() for process in processes] == [0, 0]
    return runs


def same(one, other):
    ours, theirs = (load_file(run / "last.safetensors") for run in (one, other))
    return ours.keys() == theirs.keys() and all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


@contextmanager
def disturbed():
    torch.manual_seed(5)
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.device("meta"), torch.autocast("cpu", torch.bfloat16), torch.no_grad():
            yield
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")


def state():
    return {
        "draws": torch.random.get_rng_state().tolist(),
        "dtype": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "threads": torch.get_num_threads(),
        "precision": torch.get_float32_matmul_precision(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()),
        "grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }


class Stopped(BaseException):
    pass


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_two_runs_in_a_disturbed_process_are_those_of_a_fresh_one(digits, fresh, tmp_path, precision):
    def noisy(event):
        torch.rand(3)

    def stop(event):
        if isinstance(event, EpochDone):
            raise Stopped

    with disturbed():
        before = state()
        striate.train(digits, changes=changes(precision), out=tmp_path / "first", on_event=noisy)
        assert state() == before
        with pytest.raises(Stopped):
            striate.train(digits, changes=changes(precision), out=tmp_path / "second", on_event=stop)
        assert state() == before
        with torch.inference_mode():
            striate.train(digits, out=tmp_path / "second", resume=True)
        assert state() == before
    assert same(tmp_path / "first", fresh[precision])
    assert same(tmp_path / "second", fresh[precision])


def test_answers_and_figures_are_those_of_an_undisturbed_process(digits, fresh):
    model, picture = fresh["float32"], np.load(digits)["x"][0]
    quiet = striate.load(model)
    answer, figures = quiet(picture).probabilities, striate.evaluate(model, digits, split="all").figures
    with disturbed():
        before = state()
        loaded = striate.load(model)
        assert np.array_equal(quiet(picture).probabilities, answer)
        assert np.array_equal(loaded(picture).probabilities, answer)
        assert striate.evaluate(model, digits, split="all").figures == figures
        for _ in loaded.stream([picture]):
            assert state() == before
        assert state() == before
    with torch.inference_mode():
        loaded = striate.load(model)
    assert not any(tensor.is_inference() for tensor in loaded.network.state_dict().values())


def test_a_second_thread_is_refused_and_does_not_disturb_the_first(digits, fresh, tmp_path):
    refused = []

    def other():
        with pytest.raises(TrainingError, match="another thread of this process is training") as error:
            striate.train(digits, changes=changes("float32"), out=tmp_path / "other")
        refused.append(error)

    def while_it_trains(event):
        if not refused:
            thread = threading.Thread(target=other)
            thread.start()
            thread.join()

    striate.train(digits, changes=changes("float32"), out=tmp_path / "first", on_event=while_it_trains)
    assert len(refused) == 1 and not (tmp_path / "other").exists()
    assert same(tmp_path / "first", fresh["float32"])
    striate.train(digits, changes=changes("float32"), out=tmp_path / "other")
