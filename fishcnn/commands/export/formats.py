"""The kinds of files: how each is written, how its own runtime reads it again, and how to use it.

The packages of the extra ``export`` are imported where they are used: torch needs none of them.
"""

import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from fishcnn.commands.export import preparation
from fishcnn.commands.export.exported_classifier import ExportedClassifier
from fishcnn.utils.errors import FishError
from fishcnn.utils.files import write_bytes

# In the .pt2 archive, beside the program.
_METADATA = "metadata"


@dataclass(frozen=True)
class Loaded:
    """An exported file in its own runtime, which takes uint8 ``(N, S, S, 3)`` to ``(N, K)``."""

    classify: Callable[[NDArray[np.uint8]], NDArray[np.float32]]
    metadata: dict[str, str]


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Attributes:
        packages: which have to be installed.
        write: the module and its metadata to a path; S is the ``working_size`` of the metadata.
        read: a path to what its runtime makes of it.
        usage: a Python program that classifies ``fish.jpg``, run in the folder of the file.
    """

    file: str
    title: str
    packages: tuple[str, ...]
    write: Callable[[ExportedClassifier, Mapping[str, str], Path], None]
    read: Callable[[Path], Loaded]
    usage: str


def _example(metadata: Mapping[str, str]) -> torch.Tensor:
    """Two images: of a batch of one, torch.export takes the size for a constant."""
    side = int(metadata["working_size"])
    return torch.zeros(2, side, side, 3, dtype=torch.uint8)


def _any_batch() -> tuple[dict[int, torch.export.Dim]]:
    return ({0: torch.export.Dim("batch", min=1)},)


@contextmanager
def _torch_is_quiet() -> Iterator[None]:
    """Ignore what torch and its exporter say of themselves."""
    for name in ("onnxscript", "onnx_ir"):  # which tell of every optimisation
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # torch 2.11 copies a class of its own that it has deprecated.
        warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*", FutureWarning)
        # torch 2.11 reads weights from bytes, which it does not write to.
        warnings.filterwarnings("ignore", "The given buffer is not writable", UserWarning)
        yield


def _write_onnx(module: ExportedClassifier, metadata: Mapping[str, str], path: Path) -> None:
    with _torch_is_quiet():
        program = torch.onnx.export(
            module,
            (_example(metadata),),
            dynamo=True,
            dynamic_shapes=_any_batch(),
            input_names=["images"],
            output_names=["probabilities"],
            verbose=False,
        )
    assert program is not None
    for node in program.model.graph.all_nodes():
        # Stack traces with paths of this machine.
        node.metadata_props.clear()
    program.model.metadata_props.update(metadata)
    write_bytes(path, program.model_proto.SerializeToString())


def _read_onnx(path: Path) -> Loaded:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors; it warns of GPUs that are not there
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        (probabilities,) = session.run(["probabilities"], {"images": images})
        return np.asarray(probabilities)

    return Loaded(classify, dict(session.get_modelmeta().custom_metadata_map))


def _write_torch(module: ExportedClassifier, metadata: Mapping[str, str], path: Path) -> None:
    with _torch_is_quiet():
        program = torch.export.export(
            module, (_example(metadata),), dynamic_shapes=_any_batch(), strict=False
        )
        for node in program.graph.nodes:
            # Paths of this machine.
            node.meta.pop("stack_trace", None)
        # Into memory: on a full disk torch's own writer aborts the process.
        file = io.BytesIO()
        torch.export.save(program, file, extra_files={_METADATA: json.dumps(dict(metadata))})
    write_bytes(path, file.getbuffer())


def _read_torch(path: Path) -> Loaded:
    extra = {_METADATA: ""}
    with _torch_is_quiet():
        module = torch.export.load(path, extra_files=extra).module()

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with torch.inference_mode():
            probabilities: NDArray[np.float32] = module(torch.from_numpy(images)).numpy()
        return probabilities

    return Loaded(classify, json.loads(extra[_METADATA]))


_USAGE = """\
import json

import {package}
{imports}


{prepare}


{load}
side = int(metadata["working_size"])
images = prepare("fish.jpg", side, metadata["resize"])[None]
# uint8 (N, side, side, 3), here with N = 1
{classify}
best = probabilities[0].argmax()
print(json.loads(metadata["classes"])[best], round(float(probabilities[0, best]), 3))"""

FORMATS = {
    "onnx": Format(
        "model.onnx",
        "ONNX, for onnxruntime in any language",
        ("onnx", "onnxscript", "onnxruntime"),
        _write_onnx,
        _read_onnx,
        _USAGE.format(
            imports=preparation.IMPORTS,
            prepare=preparation.source(),
            package="onnxruntime",
            load="session = onnxruntime.InferenceSession("
            '"model.onnx", providers=["CPUExecutionProvider"])\n'
            "metadata = session.get_modelmeta().custom_metadata_map",
            classify='(probabilities,) = session.run(["probabilities"], {"images": images})',
        ),
    ),
    "torch": Format(
        "model.pt2",
        "torch.export program, for torch alone",
        (),
        _write_torch,
        _read_torch,
        _USAGE.format(
            imports=preparation.IMPORTS,
            prepare=preparation.source(),
            package="torch",
            load='extra = {"metadata": ""}\n'
            'module = torch.export.load("model.pt2", extra_files=extra).module()\n'
            'metadata = json.loads(extra["metadata"])',
            classify="with torch.inference_mode():\n"
            "    probabilities = module(torch.tensor(images))",
        ),
    ),
}


def check_formats(names: Sequence[str]) -> None:
    """Check that the formats exist and that what they need is installed.

    Raises:
        FishError: one does not; the message says what to type.
    """
    typed = f"formats=[{','.join(names)}]"
    if not names or set(names) - set(FORMATS):
        raise FishError(f"{typed}: choose one of {', '.join(FORMATS)}, or [{','.join(FORMATS)}]")
    needed = [package for name in names for package in FORMATS[name].packages]
    if missing := [package for package in needed if find_spec(package) is None]:
        be = "is" if len(missing) == 1 else "are"
        raise FishError(
            f"{typed} needs {', '.join(missing)}, which {be} not installed: "
            'pip install -e ".[export]", or type formats=[torch]'
        )


def package_versions(names: Sequence[str]) -> dict[str, str]:
    """Versions of the packages that these formats need."""
    return {package: version(package) for name in names for package in FORMATS[name].packages}
