"""Built bytes don't change: the pixels and voxels of two synthetic shapes."""

import hashlib
import json
from pathlib import Path

import numpy as np
from PIL import Image

from data.binvox import read_binvox
from data.builder.synthetic import build_synthetic

GOLDEN = Path(__file__).parent / "golden" / "synthetic_shapes.json"


def digests(root: Path) -> dict[str, dict[str, str]]:
    """SHA-256 of all views' RGBA pixels and of the voxels, of each shape."""
    result = {}
    for path in sorted(root.glob("ShapeNetVox32/*/*/model.binvox")):
        name = path.parent.relative_to(root / "ShapeNetVox32").as_posix()
        views = sorted((root / "ShapeNetRendering" / name / "rendering").glob("*.png"))
        pixels = b"".join(np.asarray(Image.open(view)).tobytes() for view in views)
        result[name] = {
            "pixels": hashlib.sha256(pixels).hexdigest(),
            "voxels": hashlib.sha256(read_binvox(path).tobytes()).hexdigest(),
        }
    return result


def test_synthetic_shapes_match_golden(tmp_path):
    build_synthetic(tmp_path, num_shapes=2, processes=1)
    assert digests(tmp_path) == json.loads(GOLDEN.read_text())
