"""Twice as large by the defaults, learnt from 400 photographs and measured on 100, within five minutes."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from accept import Check, at_least, at_most, noted
from accept.commands import DATA, striate

SPLIT = ("0.667", "0.167", "0.166")


def checks() -> Iterator[Check]:
    with tempfile.TemporaryDirectory(prefix="striate-upscale-") as name:
        run = Path(name) / "run"
        answer = striate("train", DATA / "flowers", "--task", "upscale", "--split", *SPLIT, "--out", run)
        test = answer["test"]
        yield Check("1.images", "100", str(test["images"]), test["images"] == 100)
        above = test["psnr"] - test["bicubic_psnr"]
        yield at_least("1.decibels", above, 1.0, f"above bicubic's {test['bicubic_psnr']:.2f}")
        yield at_most("1.minutes", answer["seconds"] / 60, 5.0, f"{answer['images_seen']} windows")
        yield noted("1.ssim", f"{test['ssim']:.4f}, bicubic {test['bicubic_ssim']:.4f}; {answer['processor']}")
        again = striate("evaluate", run, DATA / "flowers")
        same = again["psnr"] == test["psnr"] and again["split"] == "test"
        yield Check("1.evaluate", f"{test['psnr']}", f"{again['psnr']}", same)
