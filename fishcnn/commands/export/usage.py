"""How to use each exported file, as programs that run in the folder of the files."""

# Of a photograph; the metadata say what else pictures may need.
_DECODE = """\
side = int(metadata["working_size"])
picture = ImageOps.exif_transpose(Image.open("fish.jpg")).convert("RGB")
picture = picture.resize((side, side), Image.Resampling.BILINEAR)
images = np.asarray(picture)[None]  # uint8 (N, side, side, 3), here with N = 1"""

_ONNX = f"""\
import json

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
metadata = session.get_modelmeta().custom_metadata_map
{_DECODE}
(probabilities,) = session.run(["probabilities"], {{"images": images}})
best = probabilities[0].argmax()
print(json.loads(metadata["classes"])[best], round(float(probabilities[0, best]), 3))"""

_TORCH = f"""\
import json

import numpy as np
import torch
from PIL import Image, ImageOps

extra = {{"metadata": ""}}
module = torch.export.load("model.pt2", extra_files=extra).module()
metadata = json.loads(extra["metadata"])
{_DECODE}
with torch.inference_mode():
    probabilities = module(torch.tensor(images))
best = probabilities[0].argmax()
print(json.loads(metadata["classes"])[best], round(float(probabilities[0, best]), 3))"""

_SAFETENSORS = f"""\
import json

import numpy as np
import torch
from PIL import Image, ImageOps
from safetensors import safe_open
from safetensors.torch import load_file

from fishcnn.commands.export import rebuild

with safe_open("model.safetensors", framework="pt") as file:
    metadata = file.metadata()
module = rebuild(metadata)
module.load_state_dict(load_file("model.safetensors"))
{_DECODE}
with torch.inference_mode():
    probabilities = module(torch.tensor(images))
best = probabilities[0].argmax()
print(json.loads(metadata["classes"])[best], round(float(probabilities[0, best]), 3))"""

# By the name of the format.
SNIPPETS = {"onnx": _ONNX, "torch": _TORCH, "safetensors": _SAFETENSORS}
