"""Draw the README's picture: a photograph beside what efficientnet_lite0 says of it.

pip install ".[demo]"
python examples/answer_picture.py [FILE.jpg]
"""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_sample_image

import striate

WIDTH, HEIGHT, MARGIN = 880, 300, 16
INK, BAR = (40, 40, 40), (86, 130, 190)


def draw(name: str) -> Image.Image:
    """The photograph at the left, bars of the five most probable classes at the right."""
    photograph = load_sample_image(name)
    answers = striate.load("efficientnet_lite0")(photograph, top=5)
    sheet = Image.new("RGB", (WIDTH, HEIGHT), "white")
    left = Image.fromarray(photograph)
    left.thumbnail((WIDTH // 2, HEIGHT - 2 * MARGIN))
    sheet.paste(left, (MARGIN, MARGIN))
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(17)
    start = left.width + 3 * MARGIN
    length = WIDTH - start - 2 * MARGIN
    for row, answer in enumerate(answers):
        top = MARGIN + row * (HEIGHT - 2 * MARGIN) // len(answers)
        pen.text((start, top), f"{answer.name}  {answer.probability:.0%}", INK, font)
        pen.rectangle((start, top + 25, start + max(2, round(length * answer.probability)), top + 37), BAR)
    return sheet


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/pictures/answer.jpg")
    draw("flower.jpg").save(target, quality=88)
    print(f"wrote {target}")
