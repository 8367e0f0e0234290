"""The caller's state of torch: what reaches in, and what is left behind; a thread for each core, one in a child."""

import os
import threading

import pytest
import torch

from striate.base.hardware import cores
from striate.ops import own_state
from striate.ops.own_state import fit_threads, own_draws, own_modes
from tests.conftest import HANGING


def test_modes_are_ours_within_and_the_callers_afterwards():
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.device("meta"), torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            with own_modes(), own_modes():
                made = torch.ones(2, 2, requires_grad=True)
                assert (made.dtype, made.device.type) == (torch.float32, "cpu") and not made.is_inference()
                product = made @ made
                assert product.dtype is torch.float32 and product.requires_grad
            assert torch.is_autocast_enabled("cpu") and torch.is_inference_mode_enabled()
            assert torch.ones(1).device.type == "meta"
        assert torch.get_default_dtype() is torch.float64
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")


def test_the_last_thread_puts_the_settings_back():
    """Were each to put back what it found, the second would leave ours behind."""
    torch.set_default_dtype(torch.float64)
    first_is_in, second_is_in = threading.Event(), threading.Event()

    def first():
        with own_modes():
            first_is_in.set()
            assert second_is_in.wait(HANGING)

    thread = threading.Thread(target=first)
    try:
        thread.start()
        assert first_is_in.wait(HANGING)
        with own_modes():
            second_is_in.set()
            thread.join()
            assert torch.get_default_dtype() is torch.float32
        assert torch.get_default_dtype() is torch.float64
    finally:
        second_is_in.set()
        torch.set_default_dtype(torch.float32)


def test_draws_within_are_nobodys_outside():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with pytest.raises(KeyError), own_draws():
        torch.manual_seed(4)
        raise KeyError
    assert torch.equal(torch.rand(4), expected)


@pytest.fixture
def threads(monkeypatch):
    """Torch as it starts on a machine of four physical cores and eight threads, nothing chosen yet."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(own_state, "cores", lambda: 8)
    monkeypatch.setattr(own_state, "physical_cores", lambda: 4)
    monkeypatch.setattr(own_state._Threads, "fitted", None)
    torch.set_num_threads(4)
    return monkeypatch


@pytest.mark.parametrize("chosen", [1, 3])
def test_a_number_of_threads_that_somebody_chose_stays(threads, chosen):
    torch.set_num_threads(chosen)
    fit_threads()
    assert torch.get_num_threads() == chosen


@pytest.mark.parametrize("usual", [4, 8, 64])  # as torch begins: physical cores, all, or more than a container's
def test_else_there_is_one_a_core_until_somebody_chooses(threads, usual):
    torch.set_num_threads(usual)
    fit_threads()
    assert torch.get_num_threads() == 8
    if usual != 8:
        for chosen in (4, 5):  # by now that is no default of torch's
            torch.set_num_threads(chosen)
            fit_threads()
            assert torch.get_num_threads() == chosen


@pytest.mark.skipif(not hasattr(os, "register_at_fork"), reason="no fork here")
def test_in_a_child_nobody_sets_other_than_one_thread(threads):
    threads.setattr(own_state._Threads, "forked", False)
    torch.set_num_threads(cores())
    own_state._in_child()
    fit_threads()
    with own_state.own_state():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 1
