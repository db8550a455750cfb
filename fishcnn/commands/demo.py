"""The demo: a local web page on which a photo gets its species and a class activation map.

gradio belongs to the extra ``demo`` and is imported where it is used.
"""

import html
import logging
import os
import signal
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig
from PIL import Image
from torch.nn import functional as F

from fishcnn.cam.layers import block_layers, default_layer
from fishcnn.cam.maps import class_activation_maps
from fishcnn.cam.methods import METHODS
from fishcnn.commands.trained_run import best_device, find_trained, load_trained, run_folder
from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.data.decoding.resize import resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.plots.cam_sheet import overlay
from fishcnn.utils.errors import FishError

if TYPE_CHECKING:
    import gradio

_HOST = "127.0.0.1"
# Screen pixels of the longer side: small pictures are enlarged to it, large ones reduced.
_LONG_SIDE = 800
_SHOWN_CLASSES = 5
_FONTS = ("system-ui", "sans-serif")  # of the system: none is fetched
# Stands for the predicted class, among class indices.
_PREDICTED = -1


@dataclass(frozen=True)
class Explained:
    """What the page shows of a photo.

    Attributes:
        probabilities: class name to calibrated probability.
        photo: uint8 ``(h, w, 3)`` RGB, upright, in the photo's own aspect ratio.
        overlay: the same with the map laid over it.
        note: what the map is of, or why there is nothing to see on it.
    """

    probabilities: dict[str, float]
    photo: NDArray[np.uint8]
    overlay: NDArray[np.uint8]
    note: str


def explain_photo(
    classifier: FishClassifier, path: Path, *, target: int | None, layer: str, method: str
) -> Explained:
    """Classify a photo and lay a class activation map over it.

    Args:
        classifier: in eval mode.
        path: a picture file in any format that the training reads.
        target: index of the class whose evidence is shown; None for the predicted one.
        layer: dotted name in ``classifier.network``.
        method: one of :data:`fishcnn.cam.methods.METHODS`.

    Raises:
        FishError: the file is no picture that can be read, the network has diverged, or there is
            no map of this layer.
    """
    try:
        picture = read_image(path, long_enough_for=_LONG_SIDE)
    except UnreadableImage as error:
        raise FishError(f"{path.name} cannot be read as a photo: {error.reason}.") from error
    scale = _LONG_SIDE / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    photo = np.asarray(picture.resize((width, height)))

    decoded = torch.tensor(classifier.decode(path)[None], device=classifier.device)
    images = classifier.normalize(resize(decoded, classifier.image_size))
    targets = None if target is None else torch.tensor([target])
    cam = class_activation_maps(
        classifier.network, images, layers=[layer], method=method, targets=targets
    )
    if not (cam.logits.isfinite().all() and cam.maps.isfinite().all()):
        raise FishError(
            "The network gives no finite numbers for this photo: its training has diverged. Start "
            "the demo with another run, by ckpt=/path/to/run."
        )
    shares = (cam.logits[0] / classifier.temperature).softmax(0).tolist()
    probabilities = dict(zip(classifier.classes, shares, strict=True))
    label = classifier.classes[int(cam.logits[0].argmax()) if target is None else target]

    stretched = F.interpolate(cam.maps, (height, width), mode="bilinear")[0, 0].cpu().numpy()
    blended = overlay(photo.astype(np.float32) / 255, stretched)
    return Explained(
        probabilities,
        photo,
        (blended * 255 + 0.5).astype(np.uint8),
        _note(f"{label} ({probabilities[label]:.1%})", layer, method, bool(cam.maps.any())),
    )


def _note(label: str, layer: str, method: str, anything: bool) -> str:
    of_class = METHODS[method].looks_at_class
    if not anything:
        missing = f"nothing in layer {layer} speaks for {label}" if of_class else "no pattern"
        return f"The map is all zeros: {missing}. Try another class, layer or method."
    shown = f"what speaks for {label}" if of_class else "the main pattern, whatever the class,"
    return f"{method} shows {shown} in layer {layer}: blue is nothing, red the strongest."


def build_page(classifier: FishClassifier, origin: str) -> "gradio.Blocks":
    """Make the page of a trained network, of which ``origin`` says where it comes from."""
    import gradio as gr

    side = classifier.image_size
    blank = classifier.normalize(torch.zeros(1, 3, side, side, device=classifier.device))
    default = default_layer(classifier.network, blank)
    layers = list(dict.fromkeys([*block_layers(classifier.network, blank), default]))

    def show(path: str | None, target: int, layer: str, method: str) -> tuple[Any, ...]:
        if path is None:
            return None, None, None, ""
        chosen = None if target == _PREDICTED else target
        try:
            shown = explain_photo(classifier, Path(path), target=chosen, layer=layer, method=method)
        except FishError as error:
            return None, None, None, _paragraph(str(error), "alert")
        return shown.probabilities, shown.photo, shown.overlay, _paragraph(shown.note, "status")

    def image(label: str) -> gr.Image:
        buttons: list[Any] = ["download", "fullscreen"]
        return gr.Image(label=label, alt_text=label, format="png", buttons=buttons, min_width=280)

    page = gr.Blocks(title="fishcnn", analytics_enabled=False)
    with page:
        gr.HTML(
            f"<h1>Which fish is it?</h1><p>{len(classifier.classes)} species, network of the run "
            f"{html.escape(origin)}. Photos stay on this computer.</p>"
        )
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                # gr.Image would decode the file itself, and not as the training does.
                file = gr.File(label="Your photo", height=150)
                classes = [(name, index) for index, name in enumerate(classifier.classes)]
                choices = [("predicted", _PREDICTED), *classes]
                target = gr.Dropdown(choices, value=_PREDICTED, label="Class")
                layer = gr.Dropdown(layers, value=default, label="Layer")
                method = gr.Dropdown(list(METHODS), value=next(iter(METHODS)), label="Method")
                species = gr.Label(label="Species", num_top_classes=_SHOWN_CLASSES)
            with gr.Column(scale=3, min_width=280):
                note = gr.HTML()
                with gr.Row():
                    outputs = [species, image("Photo"), image("Overlay"), note]
        gr.on(
            [file.change, target.change, layer.change, method.change],
            show,
            [file, target, layer, method],
            outputs,
            trigger_mode="always_last",
        )
    return page


def _paragraph(text: str, role: str) -> str:
    return f'<p role="{role}">{html.escape(text)}</p>'


def demo(config: DictConfig) -> None:
    """Serve the page on this computer until Ctrl-C.

    Args:
        config: ``conf/demo.yaml``.

    Raises:
        FishError: gradio is not installed, a setting is out of range, the port is taken, or there
            is no such checkpoint.
    """
    _check(config)
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    classifier = load_trained(checkpoint, best_device())
    Image.MAX_IMAGE_PIXELS = int(config.max_megapixels * 1e6 / 2)  # Pillow refuses twice as many
    # Of the run folder: its date and time, or what a person has called it.
    origin = "/".join((run_folder(checkpoint) or checkpoint).parts[-2:])
    try:
        # gradio's own cleaning forgets some of its files.
        with TemporaryDirectory(prefix="fishcnn-demo-", ignore_cleanup_errors=True) as uploads:
            # Read when gradio is imported.
            os.environ.update(GRADIO_ANALYTICS_ENABLED="False", GRADIO_TEMP_DIR=uploads)
            # gradio asks its own page whether it is there, and a proxy could not tell.
            others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
            os.environ["no_proxy"] = f"{others},{_HOST}" if others else _HOST
            _serve(build_page(classifier, origin), config)
    except KeyboardInterrupt:
        print("\nEnded, and the uploads are deleted.")


def _check(config: DictConfig) -> None:
    if find_spec("gradio") is None:
        raise FishError('the demo needs gradio, not installed here: pip install -e ".[demo]"')
    port = config.port
    if port is not None and not (type(port) is int and 1 <= port <= 65535):
        raise FishError(f"port={port}: wanted a whole number from 1 to 65535, or null")
    for name in ("max_file_mb", "max_megapixels"):
        if type(config[name]) not in (int, float) or not 0 < config[name] < float("inf"):
            raise FishError(f"{name}={config[name]}: wanted a number above 0")


def _serve(page: "gradio.Blocks", config: DictConfig) -> None:
    """Serve until a KeyboardInterrupt."""
    import gradio as gr

    logging.getLogger("httpx").setLevel(logging.WARNING)  # with which gradio asks for its own page
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # deletes the uploads too
    try:
        _, address, _ = page.launch(
            server_name=_HOST,
            server_port=config.port,
            max_file_size=int(config.max_file_mb * 2**20),
            theme=gr.themes.Default(font=_FONTS, font_mono=_FONTS),
            footer_links=[],
            share=False,
            run_history=False,
            ssr_mode=False,
            mcp_server=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        raise FishError(
            f"port={config.port or 'null'} is not to be had: it is in use or reserved. Choose "
            "another, for example port=8000"
        ) from error
    print(f"Open {address} in a browser. Ctrl-C ends the demo.", flush=True)
    try:
        while True:
            time.sleep(3600)
    finally:
        page.close(verbose=False)
