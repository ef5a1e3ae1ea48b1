"""The picture at the top of the README: samples of each family side by side, from the pictures of the model pages.

python -m benchmarks.front
"""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from benchmarks.evidence import ROOT

PAGES, SIDE, GAP, CAPTION = ROOT / "docs" / "models", 266, 14, 34
PANELS = (  # file, the part that is shown, what it says
    ("gan-mnist", (0, 0, 242, 242), "GAN"),
    ("dcgan-emoji", (198, 66, 464, 332), "DCGAN, 3,583 emoji"),
    ("pixelcnn-mnist", (0, 0, 242, 242), "PixelCNN"),
    ("vae-mnist", (0, 0, 242, 242), "VAE"),
    ("pixelcnn-complete", (0, 0, 122, 122), "completions of a top half"),
)


def main() -> None:
    """Draw it."""
    page = Image.new("RGB", (len(PANELS) * (SIDE + GAP) - GAP, SIDE + CAPTION), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(17)
    for i, (name, box, caption) in enumerate(PANELS):
        left = i * (SIDE + GAP)
        with Image.open(PAGES / f"{name}.png") as image:
            page.paste(image.convert("RGB").crop(box).resize((SIDE, SIDE), Image.Resampling.LANCZOS), (left, 0))
        draw.text((left + SIDE / 2, SIDE + CAPTION / 2), caption, "black", font, anchor="mm")
    page.save(ROOT / "docs" / "front.png", optimize=True)


if __name__ == "__main__":
    main()
