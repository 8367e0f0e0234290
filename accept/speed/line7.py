"""The kernels under sanitizers and between pages that cannot be touched: nothing is reported."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from accept import Check
from accept.pytests import all_pass
from striate.base.hardware import cores
from tests.ops.native.sanitize.__main__ import fuzz, plan


def checks() -> Iterator[Check]:
    seed = random.randrange(1 << 20)
    with ThreadPoolExecutor(cores()) as pool:
        for answer in pool.map(lambda pair: fuzz(pair[0], pair[1], seed), plan()):
            got = answer.wrong.splitlines()[0] if answer.wrong else f"{answer.cases} cases, seed {seed}, clean"
            yield Check(f"7.{answer.kind.name}.{answer.level.name}", "nothing reported", got, not answer.wrong)
    yield all_pass("7.fences", "tests/ops/native", "-k", "beside")
