import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.base.seeds import order, uniforms

KEYS = np.arange(20_000, dtype=np.uint64)
key_lists = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=30, unique=True)


def splitmix64(state: int, count: int) -> list[int]:
    """The paper's generator, written once more on plain integers."""
    out = []
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        out.append(z ^ (z >> 31))
    return out


def test_the_generator_is_splitmix64():
    # published check values for the state 1234567 (rosettacode.org, "Pseudo-random numbers/Splitmix64")
    assert splitmix64(1234567, 3) == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    words = (3, 2, 5)  # seed, stream, epoch: each absorbed by one step
    start = 0
    for word in words:
        start = splitmix64((start + word) % 2**64, 1)[0]
    # the sample's own state is the finishing function of key + start, which is one step from a golden ratio before
    state = splitmix64((77 + start - 0x9E3779B97F4A7C15) % 2**64, 1)[0]
    expected = [(word >> 11) / 2**53 for word in splitmix64(state, 4)]
    assert uniforms(3, 5, np.array([77], np.uint64), 4, stream=2)[0].tolist() == expected


def test_figures_never_change():
    # A run of last year must resume today: these are the package's promise, not the paper's.
    drawn = uniforms(1, 2, np.array([3], np.uint64), 3)
    assert drawn.tolist() == [[0.857510261229469, 0.8424787380745112, 0.9809264512960981]]
    assert order(1, 2, np.arange(8, dtype=np.uint64)).tolist() == [5, 0, 7, 1, 4, 6, 3, 2]


@given(key_lists, st.integers(-5, 2**70), st.integers(0, 10**6))
def test_draws_depend_on_the_sample_alone(keys, seed, epoch):
    array = np.array(keys, np.uint64)
    together = uniforms(seed, epoch, array, 5)
    assert together.shape == (len(keys), 5) and together.dtype == np.float64
    assert ((together >= 0) & (together < 1)).all()
    alone = np.concatenate([uniforms(seed, epoch, array[i : i + 1], 3) for i in range(len(keys))])
    assert (alone == together[:, :3]).all()


@given(key_lists, st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_order_is_a_function_of_the_set(keys, random, seed):
    shuffled = random.sample(keys, len(keys))
    first, second = np.array(keys, np.uint64), np.array(shuffled, np.uint64)
    assert (first[order(seed, 3, first)] == second[order(seed, 3, second)]).all()
    assert sorted(order(seed, 3, first).tolist()) == list(range(len(keys)))


def test_copies_keep_their_listed_order():
    positions = order(0, 0, np.array([9, 4, 9, 9], np.uint64)).tolist()
    assert [p for p in positions if p != 1] == [0, 2, 3]


@pytest.mark.parametrize("column", range(3))
def test_uniform_by_chi_square(column):
    counts = np.histogram(uniforms(7, 0, KEYS, 3)[:, column], bins=100, range=(0, 1))[0]
    expected = len(KEYS) / 100
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert 50 < chi_square < 160  # 99 degrees of freedom: mean 99, standard deviation 14


def test_every_part_of_the_key_counts_and_nothing_is_correlated():
    base = uniforms(0, 0, KEYS, 2)
    others = [
        uniforms(1, 0, KEYS, 2),
        uniforms(0, 1, KEYS, 2),
        uniforms(0, 0, KEYS, 2, stream=1),
        uniforms(0, 0, KEYS + np.uint64(1 << 40), 2),
    ]
    columns = [base[:, 0], base[:, 1], [*base[1:, 0].tolist(), 0.5], *(other[:, 0] for other in others)]
    correlation = np.corrcoef(np.array([np.asarray(column) for column in columns]))
    assert np.abs(correlation - np.eye(len(columns))).max() < 5 / np.sqrt(len(KEYS))


def test_swapping_seed_and_epoch_is_not_the_same():
    assert (uniforms(1, 2, KEYS[:10], 1) != uniforms(2, 1, KEYS[:10], 1)).all()
    assert (order(1, 2, KEYS[:100]) != order(2, 1, KEYS[:100])).any()


def test_order_is_no_relation_of_the_draws():
    keys = KEYS[:5000]
    rank = np.argsort(order(0, 0, keys))
    assert abs(np.corrcoef(rank, uniforms(0, 0, keys, 1)[:, 0])[0, 1]) < 5 / np.sqrt(len(keys))
