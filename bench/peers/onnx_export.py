"""Turn every `FOLDER/*.pt2` into ONNX beside it: `python -m bench.peers.onnx_export FOLDER`."""

import sys
from pathlib import Path

import numpy as np
import torch


def main(folder: Path) -> None:
    for path in sorted(folder.glob("*.pt2")):
        images = torch.from_numpy(np.load(path.with_suffix(".npy"), allow_pickle=False))
        program = torch.onnx.export(torch.export.load(path), (images,), dynamo=True, verbose=False)
        assert program is not None
        program.save(path.with_suffix(".onnx"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
