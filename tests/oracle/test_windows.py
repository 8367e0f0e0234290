"""Every window against TensorFlow's, in float64 to 1e-10: all small ones, and thousands of drawn ones."""

import itertools
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from striate import ops
from striate.base.errors import ModelError
from striate.ops import from_tensorflow, to_tensorflow, transposed_sizes
from tests.oracle.conftest import Oracle

PROGRAM = Path(__file__).with_name("tensorflow_windows.py")
CHANNELS, OUTS, MULTIPLIER = 2, 3, 2
GRID = ("conv1", "conv", "depthwise", "separable", "max", "average")


def case(op: str, size, window, stride, dilation, padding: str, *, count: int = 2, made=None) -> dict:
    window_of = {"op": op, "size": size, "window": window, "stride": stride, "dilation": dilation, "padding": padding}
    return window_of | {"channels": CHANNELS, "outs": OUTS, "multiplier": MULTIPLIER, "count": count, "made": made}


def refused_by_tensorflow(op: str, stride, dilation, padding: str) -> bool:
    """What it does not offer (on CPUs), whatever the sizes."""
    if op in ("max", "average") and max(dilation) > 1 and padding == "same":
        return True
    return max(stride) > 1 and max(dilation) > 1


def grid() -> Iterator[dict]:
    """Every size 1..13, window 1..7, stride 1..5, dilation 1..3, square."""
    for op, size, window, stride, dilation, padding in itertools.product(
        GRID, range(1, 14), range(1, 8), range(1, 6), range(1, 4), ("same", "valid")
    ):
        if not refused_by_tensorflow(op, [stride], [dilation], padding):
            axes = 1 if op == "conv1" else 2
            yield case(op.rstrip("1"), *([n] * axes for n in (size, window, stride, dilation)), padding, count=1)
    for size, window, stride, padding in itertools.product(range(1, 14), range(1, 8), range(1, 5), ("same", "valid")):
        made = size * stride if padding == "same" else (size - 1) * stride + window
        yield case("transposed", [size] * 2, [window] * 2, [stride] * 2, [1, 1], padding, count=1, made=[made] * 2)


def drawn(axes: int, count: int, seed: int, largest: int) -> Iterator[dict]:
    """Rectangular windows: unequal sizes, windows, strides and dilations, and outputs that are asked for."""
    rng = random.Random(seed)
    ops_here = ("conv", "transposed", "max", "average", *(("depthwise", "separable") if axes == 2 else ()))

    def numbers(most: int) -> list[int]:
        return [rng.randint(1, most) for _ in range(axes)]

    while count:
        op, padding = rng.choice(ops_here), rng.choice(("same", "valid"))
        size, window, stride, dilation = numbers(largest), numbers(5), numbers(4), [1] * axes
        if op in ("depthwise", "separable"):
            stride = stride[:1] * axes  # on CPUs TensorFlow takes equal ones only
        if op != "transposed" and rng.random() < 0.3:
            stride, dilation = [1] * axes, numbers(3)
        if refused_by_tensorflow(op, stride, dilation, padding):
            continue
        if axes == 3 and op in ("conv", "transposed"):
            # Where a stride is longer than its window, TensorFlow's 3-D kernel breaks TensorFlow's own rule (seen in
            # 2.21: it takes the negative padding as it comes, and starts inside). The NumPy definition covers these.
            stride = [min(s, k) for s, k in zip(stride, window, strict=True)]
        made = None
        if op == "transposed":
            legal = [transposed_sizes(n, k, s, 1, padding) for n, k, s in zip(size, window, stride, strict=True)]
            made = [rng.choice(sizes) for sizes in legal]
        yield case(op, size, window, stride, dilation, padding, made=made)
        count -= 1


def ours(case: dict, values: np.ndarray) -> torch.Tensor:
    axes, taken = len(case["size"]), 0
    letters = "DHW"[3 - axes :]

    def take(layout: str, *shape: int) -> torch.Tensor:
        nonlocal taken
        start, taken = taken, taken + int(np.prod(shape))
        return from_tensorflow(torch.from_numpy(values[start:taken].reshape(shape)), layout)

    channels, outs, window = case["channels"], case["outs"], case["window"]
    x = take(f"N{letters}C", case["count"], *case["size"], channels)
    options = {"stride": tuple(case["stride"]), "dilation": tuple(case["dilation"]), "padding": case["padding"]}
    match case["op"]:
        case "conv":
            y = getattr(ops, f"conv{axes}d")(x, take(f"{letters}IO", *window, channels, outs), **options)
        case "depthwise":
            y = ops.depthwise_conv2d(x, take("HWCM", *window, channels, case["multiplier"]), **options)
        case "separable":
            w = take("HWCM", *window, channels, case["multiplier"])
            y = ops.separable_conv2d(x, w, take("HWIO", 1, 1, channels * case["multiplier"], outs), **options)
        case "transposed":
            w = take(f"{letters}OI", *window, outs, channels)
            y = getattr(ops, f"conv_transpose{axes}d")(x, w, output_size=tuple(case["made"]), **options)
        case _:
            y = getattr(ops, f"{case['op']}_pool{axes}d")(x, tuple(window), **options)
    return to_tensorflow(y, f"N{letters}C")


def compare(cases: list[dict], oracle: Callable[[Path], Oracle], folder: Path) -> Counter[str]:
    """Ask TensorFlow all at once; how many answers of each operation were compared, and how many both refused."""
    values = np.random.default_rng(0).standard_normal(100_000)
    np.save(folder / "numbers.npy", values)
    (folder / "cases.json").write_text(json.dumps(cases))
    oracle(PROGRAM).ask("cases", folder)
    answers, shapes = np.load(folder / "answers.npy"), json.loads((folder / "shapes.json").read_text())
    seen: Counter[str] = Counter()
    place = 0
    for one, shape in zip(cases, shapes, strict=True):
        if isinstance(shape, str):
            try:
                ours(one, values)
            except ModelError:
                seen["refused"] += 1
            else:
                pytest.fail(f"only TensorFlow refuses {one}: {shape}")
            continue
        wanted = answers[place : place + int(np.prod(shape))].reshape(shape)
        place += wanted.size
        found = ours(one, values).numpy()
        assert found.shape == wanted.shape, one
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-10, err_msg=str(one))
        seen[one["op"]] += 1
    return seen


@pytest.mark.oracle
def test_every_small_window(oracle: Callable[[Path], Oracle], tmp_path: Path) -> None:
    cases = list(grid())
    assert len(cases) == 4 * 13 * 7 * 7 * 2 + 2 * 13 * 7 * (7 * 2 - 2) + 13 * 7 * 4 * 2
    seen = compare(cases, oracle, tmp_path)
    assert min(seen[op] for op in ("depthwise", "separable", "max", "average", "transposed")) > 700
    assert seen["conv"] > 1400


@pytest.mark.oracle
@pytest.mark.parametrize(("axes", "count", "largest"), [(2, 2000, 20), (3, 500, 9)])
def test_drawn_windows(axes: int, count: int, largest: int, oracle: Callable[[Path], Oracle], tmp_path: Path) -> None:
    seen = compare(list(drawn(axes, count, seed=13, largest=largest)), oracle, tmp_path)
    assert seen.total() == count
    assert seen["refused"] < count / 3
