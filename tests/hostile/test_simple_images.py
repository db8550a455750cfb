"""Images of little content, which all look alike, are not taken for the same image."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import Command
from PIL import Image, ImageDraw

from fishcnn.benchmark.planted_duplicates import plant_duplicate
from fishcnn.data.duplicates.finder import Duplicates, find_duplicates
from fishcnn.data.duplicates.fingerprint import fingerprint
from fishcnn.data.duplicates.near_known import near_known

SIZE = (120, 96)
Draw = Callable[[np.random.Generator], Image.Image]


def drawn(
    paint: Callable[[ImageDraw.ImageDraw], None], ground: int, noise: np.ndarray
) -> Image.Image:
    """Paint on plain ground at twice the size, and add the noise of a camera."""
    image = Image.new("RGB", (2 * SIZE[0], 2 * SIZE[1]), (ground, ground, ground - 6))
    paint(ImageDraw.Draw(image))
    pixels = np.asarray(image.resize(SIZE, Image.Resampling.BOX)) + noise[:, :, None]
    return Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8))


def grain(generator: np.random.Generator) -> np.ndarray:
    return generator.normal(0, 2, SIZE[::-1])


def egg(generator: np.random.Generator) -> Image.Image:
    """An egg with a yolk and a few drops."""
    x, y, radius = generator.normal(120, 8), generator.normal(96, 8), generator.uniform(50, 62)
    shade, wide = int(generator.integers(135, 160)), generator.uniform(0.93, 1.07)
    drops = generator.uniform(-0.4, 0.4, (4, 2)) * radius
    sizes = radius * np.array([0.5, *generator.uniform(0.08, 0.2, 3)])

    def paint(draw: ImageDraw.ImageDraw) -> None:
        box = (x - radius * wide, y - radius / wide, x + radius * wide, y + radius / wide)
        draw.ellipse(box, (shade, shade - 10, shade - 25), (shade - 60,) * 3, 4)
        for (dx, dy), size in zip(drops, sizes, strict=True):
            around = (x + dx - size, y + dy - size, x + dx + size, y + dy + size)
            draw.ellipse(around, (shade - 40,) * 3)

    return drawn(paint, int(generator.integers(215, 232)), grain(generator))


def faint_egg(generator: np.random.Generator) -> Image.Image:
    """An egg that hardly stands out from its ground."""
    return Image.blend(Image.new("RGB", SIZE, (222, 222, 216)), egg(generator), 0.35)


def otolith(generator: np.random.Generator) -> Image.Image:
    """A lobed stone with rings, on black."""
    angle = np.linspace(0, 2 * np.pi, 60)
    lobes = 1 + sum(0.05 * np.sin(n * angle + generator.uniform(0, 6)) for n in (2, 3, 5))
    width, height = generator.uniform(75, 90), generator.uniform(48, 58)
    shades = generator.integers(130, 210, 5).tolist()

    def paint(draw: ImageDraw.ImageDraw) -> None:
        for ring, shade in zip((1, 0.8, 0.6, 0.45, 0.25), shades, strict=True):
            x = 120 + ring * width * lobes * np.cos(angle)
            y = 96 + ring * height * lobes * np.sin(angle)
            draw.polygon(list(zip(x.tolist(), y.tolist(), strict=True)), (shade,) * 3)

    return drawn(paint, 14, grain(generator))


def plankton(generator: np.random.Generator) -> Image.Image:
    """A rod with a few bristles."""
    turn, length = generator.uniform(0, np.pi), generator.uniform(50, 70)
    along = np.array([np.cos(turn), np.sin(turn)])
    middle = np.array([120, 96]) + generator.normal(0, 8, 2)
    starts = middle + np.outer(generator.uniform(-1, 1, 5) * length, along)
    ends = starts + generator.normal(0, 22, (5, 2))

    def paint(draw: ImageDraw.ImageDraw) -> None:
        draw.line([*(middle - length * along), *(middle + length * along)], (90,) * 3, 10)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            draw.line([*start, *end], (115,) * 3, 4)

    return drawn(paint, 235, grain(generator))


def find(images: Sequence[Image.Image]) -> Duplicates:
    return find_duplicates(
        np.stack([fingerprint(image) for image in images]),
        np.stack([np.asarray(image.resize((80, 80))) for image in images]),
        np.array([image.width / image.height for image in images], np.float32),
        None,
    )


@pytest.mark.parametrize("draw", [egg, faint_egg, otolith, plankton])
def test_different_simple_images_stay_apart_and_the_same_one_is_found(draw: Draw) -> None:
    generator = np.random.default_rng(3)
    images = [draw(generator) for _ in range(26)]
    planted = [
        plant_duplicate(images[place], kind, generator)
        for place, kind in zip(range(8), 4 * ("reencoded", "resized"), strict=True)
    ]
    found = find([*images, *planted])
    sizes = [len(members) for members in found.larger_than_one()]
    assert (found.groups[:8] == found.groups[26:]).mean() >= 7 / 8
    # Before they were asked to stand out, all were one group.
    assert max(sizes) <= 6
    assert sum(sizes) <= 16 + 6


@pytest.mark.parametrize("judged", [1, 12])
def test_new_simple_images_are_no_near_duplicates_of_known_ones(judged: int) -> None:
    generator = np.random.default_rng(1)
    known = [egg(generator) for _ in range(24)]
    images = [egg(generator) for _ in range(judged)]
    images.append(plant_duplicate(known[5], "resized", generator))
    near = near_known(
        np.stack([np.asarray(image.resize((80, 80))) for image in known]),
        np.arange(24),
        np.stack([np.asarray(image.resize((80, 80))) for image in images]),
        (
            np.stack([fingerprint(image) for image in images]),
            np.stack([fingerprint(image) for image in known]),
        ),
        (np.full(len(images), 1.25, np.float32), np.full(24, 1.25, np.float32)),
    )
    assert near[-1]
    assert near[:-1].sum() <= 0.2 * judged


def video(generator: np.random.Generator, ground: Image.Image) -> list[Image.Image]:
    """Frames of a fish that swims past a fixed camera."""
    frames = []
    for step in range(20):
        frame = ground.copy()
        draw, x = ImageDraw.Draw(frame), 5 + 12 * step
        draw.ellipse((x, 90, x + 60, 120), (210, 120, 60))
        draw.ellipse((x + 45, 98, x + 51, 104), (0, 0, 0))
        pixels = np.asarray(frame) + generator.normal(0, 2, (220, 300, 1))
        frames.append(Image.fromarray(pixels.round().clip(0, 255).astype(np.uint8)))
    return frames


@pytest.mark.parametrize(("videos", "others", "cells"), [(2, 8, 8), (2, 0, 30)])
def test_frames_of_a_video_on_textured_ground_are_one_group(
    videos: int, others: int, cells: int
) -> None:
    generator = np.random.default_rng(0)
    blobs = generator.integers(40, 216, (videos + others, cells, cells, 3), np.uint8)
    grounds = [Image.fromarray(each).resize((300, 220)) for each in blobs]
    frames = [frame for ground in grounds[:videos] for frame in video(generator, ground)]
    found = find([*frames, *grounds[videos:]])
    expected = [number // 20 for number in range(20 * videos)]
    assert found.groups.tolist() == expected + list(range(videos, videos + others))


def test_frames_of_one_egg_are_a_group() -> None:
    generator = np.random.default_rng(0)
    eggs = [egg(generator) for _ in range(14)]
    frames = [plant_duplicate(eggs[0], "next_frame", generator) for _ in range(8)]
    found = find([*eggs, *frames])
    assert np.bincount(found.groups[14:]).max() >= 6
    assert max(len(members) for members in found.larger_than_one()) <= 10


def test_a_group_that_swallows_a_class_is_said_first(
    script: Command, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    generator = np.random.default_rng(0)
    root = tmp_path / "images"
    for name in ("Koi", "Rui"):
        (root / name).mkdir(parents=True)
        for number in range(10):
            blobs = generator.integers(40, 216, (9, 12, 3), np.uint8)
            Image.fromarray(blobs).resize(SIZE).save(root / name / f"{number}.png")
    same = Image.open(root / "Koi" / "0.png")
    for number in range(1, 8):
        frame = plant_duplicate(same, "next_frame", generator)
        frame.save(root / "Koi" / f"{number}.png")
    common = ["data=folder", f"data.root={root}", "data.image_size=32"]
    said = "8 of 10 images of Koi are one group that no split divides, which leaves 2 images"
    done = script("inspect_data", *common, "output=report")
    assert said in " ".join(done.out.split())[:300]
    page = " ".join((tmp_path / "report" / "report.html").read_text(encoding="utf-8").split())
    assert said in page.split("<section>")[0]
    assert "A training can start; look at the findings above first" in page
    settings = ["model.blocks=1", "trainer.max_epochs=1", "trainer.accelerator=cpu"]
    with caplog.at_level(logging.WARNING):
        trained = script(
            "train", *common, *settings, "logger=none", "scheduler=onecycle",
            "scheduler.pct_start=0.5", "data.batch_size=8", "hydra.run.dir=run",
        )  # fmt: skip
    assert trained.status == 0, trained.err
    assert any(said in message for message in [*caplog.messages, trained.out])
    assert said in (tmp_path / "run" / "data.md").read_text(encoding="utf-8")
