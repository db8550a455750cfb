"""The demo: a local web page on which a photo gets its species and a class activation map.

gradio belongs to the extra ``demo`` and is imported where it is used.
"""

import html
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from omegaconf import DictConfig

from fishcnn.cam.layers import block_layers, default_layer
from fishcnn.cam.maps import class_activation_maps
from fishcnn.cam.methods import METHODS
from fishcnn.commands.own_page import OwnPageOnly
from fishcnn.commands.page_images import under_map
from fishcnn.commands.settings import check_settings
from fishcnn.commands.trained_run import best_device, check_finite, find_trained, load_trained
from fishcnn.data.decoding import pixel_limit
from fishcnn.data.decoding.read import UnreadableImage, read_image
from fishcnn.data.decoding.resize import as_seen, resize
from fishcnn.models.classifier import FishClassifier
from fishcnn.utils import stopping
from fishcnn.utils.checks import number, optional, whole
from fishcnn.utils.errors import FishError
from fishcnn.utils.run_folder import RunFolder
from fishcnn.utils.text import percent

if TYPE_CHECKING:
    import gradio

_HOST = "127.0.0.1"
# Screen pixels of the longer side: small images are enlarged to it, large ones reduced.
_LONG_SIDE = 800
_SHOWN_CLASSES = 5
_FONTS = ("system-ui", "sans-serif")  # of the system: none is fetched
# Stands for the predicted class, among class indices.
_PREDICTED = -1
_LIMIT = number(0, 1e6, above=True)
_WANTED = {
    "port": optional(whole(1, 65535)),
    "max_file_mb": _LIMIT,
    "max_megapixels": optional(_LIMIT),
}


@dataclass(frozen=True)
class Explained:
    """What the page shows of a photo.

    Attributes:
        probabilities: calibrated, by class name.
        photo: uint8 ``(h, w, 3)`` RGB, upright, in the photo's own aspect ratio, or else as the
            network sees it.
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
        path: an image file in any format that the training reads.
        target: index of the class whose evidence is shown; None for the predicted one.
        layer: dotted name in ``classifier.network``.
        method: one of :data:`fishcnn.cam.methods.METHODS`.

    Raises:
        FishError: the file cannot be read, the network has diverged, or this layer has no map.
    """
    try:
        image = read_image(path, long_enough_for=_LONG_SIDE)
    except UnreadableImage as error:
        raise FishError(f"{path.name} cannot be read as a photo: {error.reason}.") from error
    image = as_seen(image, classifier.square.resize, most=_LONG_SIDE)
    scale = _LONG_SIDE / max(image.size)
    width, height = (max(1, round(side * scale)) for side in image.size)
    photo = image.resize((width, height))

    del image  # not beside the next one, which may be as large
    decoded = torch.tensor(classifier.decode(path)[None], device=classifier.device)
    images = classifier.normalize(resize(decoded, classifier.image_size))
    targets = None if target is None else torch.tensor([target])
    cam = class_activation_maps(
        classifier.network, images, layers=[layer], method=method, targets=targets
    )
    check_finite(cam.logits)
    check_finite(cam.maps)
    shares = (cam.logits[0] / classifier.temperature).softmax(0).tolist()
    probabilities = dict(zip(classifier.classes, shares, strict=True))
    label = classifier.classes[int(cam.logits[0].argmax()) if target is None else target]
    return Explained(
        probabilities,
        np.asarray(photo),
        np.asarray(under_map(photo, cam.maps[0, 0].cpu().numpy())),
        _note(f"{label} ({percent(probabilities[label])})", layer, method, bool(cam.maps.any())),
    )


def _note(label: str, layer: str, method: str, anything: bool) -> str:
    of_class = METHODS[method].looks_at_class
    if not anything:
        missing = f"nothing in layer {layer} speaks for {label}" if of_class else "no pattern"
        return f"The map is empty: {missing}. Try another class, layer or method."
    shown = f"what speaks for {label}" if of_class else "the main pattern, whatever the class,"
    return (
        f"{method} shows {shown} in layer {layer}: red is the strongest; where the photo keeps its "
        "own colours, there is nothing."
    )


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
            return None, None, None, paragraph(str(error), "alert")
        return shown.probabilities, shown.photo, shown.overlay, paragraph(shown.note, "status")

    def paragraph(text: str, role: str) -> str:
        return f'<p role="{role}">{html.escape(text)}</p>'

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
                species = gr.Label(label="Species", num_top_classes=_SHOWN_CLASSES)
            with gr.Column(scale=3, min_width=280):
                note = gr.HTML()
                with gr.Row():
                    outputs = [species, image("Photo"), image("Overlay"), note]
        # Below the answer, also on a telephone.
        with gr.Accordion("Another class, layer or method", open=False), gr.Row():
            classes = [(name, index) for index, name in enumerate(classifier.classes)]
            choices = [(_predicted(classifier.classes), _PREDICTED), *classes]
            target = gr.Dropdown(choices, value=_PREDICTED, label="Class")
            layer = gr.Dropdown(layers, value=default, label="Layer")
            method = gr.Dropdown(list(METHODS), value=next(iter(METHODS)), label="Method")
        gr.on(
            [file.change, target.change, layer.change, method.change],
            show,
            [file, target, layer, method],
            outputs,
            trigger_mode="always_last",
        )
    return page


def check_demo(config: DictConfig) -> None:
    """Check the settings of the demo, or raise a FishError that names one."""
    check_settings(config, _WANTED)


def _predicted(classes: Sequence[str]) -> str:
    """What the choice of the predicted class is called, beside the classes."""
    return "predicted" if "predicted" not in classes else "the predicted class"


def demo(config: DictConfig) -> None:
    """Serve the page on this computer until Ctrl-C, by ``conf/demo.yaml``.

    Raises:
        FishError: gradio is not installed, a setting is out of range, the port is taken, or there
            is no such checkpoint.
    """
    check_demo(config)
    if find_spec("gradio") is None:
        raise FishError('the demo needs gradio, which is not installed: pip install -e ".[demo]"')
    checkpoint = find_trained(config.ckpt, Path(config.runs))
    classifier = load_trained(checkpoint, best_device())
    if config.max_megapixels is not None:
        os.environ[pixel_limit.VARIABLE] = str(max(1, int(config.max_megapixels * 1e6)))
    run = RunFolder.of(checkpoint)
    # Of the run folder: its date and time, or what a person has called it.
    origin = "/".join(((run and run.path) or checkpoint).parts[-2:])
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
        raise SystemExit(stopping.exit_status()) from None


def _serve(page: "gradio.Blocks", config: DictConfig) -> None:
    """Serve until a KeyboardInterrupt."""
    import gradio as gr
    from starlette.middleware import Middleware

    logging.getLogger("httpx").setLevel(logging.WARNING)  # with which gradio asks for its own page
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
            app_kwargs={"middleware": [Middleware(OwnPageOnly)]},
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        taken = f"port {config.port} is in use or reserved" if config.port else "no port is free"
        raise FishError(f"{taken}; choose another one, for example port=8000") from error
    print(f"Open {address} in a browser. Ctrl-C ends the demo.", flush=True)
    try:
        while True:
            time.sleep(3600)
    finally:
        page.close(verbose=False)
