"""The script that torch's users write to train torchvision's ResNet-34 on a folder of pictures.

python -m bench.peers.torch_script FOLDER BATCH EPOCHS script|tuned_script
"""

import json
import sys

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset

from bench.peers.torchvision_loading import folder_of
from bench.peers.without_operators import torchvision


def main(folder: str, batch_size: int, epochs: int, tuned: bool) -> None:
    pictures = folder_of(folder)
    order = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(0)).tolist()
    tenth = len(order) // 10
    training = DataLoader(
        Subset(pictures, order[2 * tenth :]), batch_size, shuffle=True, num_workers=2, persistent_workers=True
    )
    validation = DataLoader(Subset(pictures, order[:tenth]), batch_size, num_workers=2, persistent_workers=True)
    network = torchvision.models.resnet34(num_classes=len(pictures.classes))
    order_in_memory = torch.channels_last if tuned else torch.contiguous_format
    network.to(memory_format=order_in_memory)
    optimizer = torch.optim.SGD(network.parameters(), 0.01, momentum=0.9, weight_decay=1e-4, fused=tuned or None)
    criterion, seen = nn.CrossEntropyLoss(), 0
    for _ in range(epochs):
        network.train()
        for images, labels in training:
            with torch.autocast("cpu", torch.bfloat16, enabled=tuned):
                loss = criterion(network(images.contiguous(memory_format=order_in_memory)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen += len(images)
        network.eval()
        right = 0
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=tuned):
            for images, labels in validation:
                answers = network(images.contiguous(memory_format=order_in_memory)).argmax(1)
                right += int((answers == labels).sum())
    print(json.dumps({"images_seen": seen, "accuracy": right / max(1, tenth)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "tuned_script")
