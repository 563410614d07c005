"""What several tests share: small datasets in ShapeNet's layout, and bit-for-bit comparison."""

import io
from pathlib import Path

import numpy as np
import torch
import trimesh
from PIL import Image

from data.builder.mesh import Mesh
from data.builder.readers import parse_mesh
from data.builder.readers.assets import FolderAssets
from data.cameras import View
from models import R2N2
from models.checkpoint import checkpoint_path
from utils.voxels import write_binvox

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
DEMO_IMAGES = [ROOT / "data" / "demo" / f"{i}.png" for i in range(3)]
PRETRAINED = ROOT / "models" / "pretrained" / "3d-lstm-3.safetensors"
BOX = trimesh.creation.box((1, 2, 3)).export(file_type="obj").encode()
RED = [255, 0, 0, 255]
# Flags of train.py, and but for the first one of test.py.
SMALL = ["--width=0.0625", "--batch_size=4", "--max_views=2", "--num_workers=0"]
SMALL += ["--precision=fp32", "--device=cpu"]

EXPERIMENT = Path("saved_models/3d-r2n2")


def make_dataset(root: Path, models: dict[str, int], views: int = 5, seed: int = 0) -> Path:
    """Write random boxes as `models` objects of each category, with `views` images each.

    An image shows the voxels from the front, the top or the side; its colors are their depth.
    """
    rng = np.random.default_rng(seed)
    for category, count in models.items():
        for number in range(count):
            voxels = np.zeros((32, 32, 32), bool)
            for _ in range(2):
                low, high = np.sort(rng.integers(2, 30, (2, 3)), axis=0)
                voxels[tuple(map(slice, low, high + 3))] = True
            name = f"{category}/model{number:02d}"
            write_binvox(root / "ShapeNetVox32" / name / "model.binvox", voxels)
            folder = root / "ShapeNetRendering" / name / "rendering"
            folder.mkdir(parents=True)
            for view in range(views):
                draw_view(voxels, view).save(folder / f"{view:02d}.png")
    return root


def draw_view(voxels: np.ndarray, view: int) -> Image.Image:
    seen = np.moveaxis(voxels, view % 3, 0)
    alpha = seen.any(0)
    depths = (seen.argmax(0), seen.sum(0), 31 - seen[::-1].argmax(0))
    pixels = np.stack([*(8 * depth for depth in depths), 255 * alpha], axis=-1).astype(np.uint8)
    return Image.fromarray(pixels).resize((137, 137), Image.Resampling.NEAREST)


def small_network(name: str = "3D-LSTM-3", **options) -> R2N2:
    torch.manual_seed(0)
    return R2N2(name, **{"width": 1 / 16, **options})


def read_checkpoint(epoch: int, folder: Path = EXPERIMENT) -> dict:
    return torch.load(checkpoint_path(folder, epoch), weights_only=True)


def assert_same(a, b):
    """Equality, bit for bit, of nested dictionaries, lists and tensors."""
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert a == b


def png(color, mode="RGB", size=(2, 2)) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, color).save(file, "PNG")
    return file.getvalue()


def write_files(root: Path, *names: str, content: bytes = BOX) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def load_mesh(path: Path) -> Mesh:
    return parse_mesh(path.read_bytes(), path.name, FolderAssets(path.parent))


def files_in(root: Path) -> dict[str, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def colors_of(mesh) -> list:
    return np.unique(mesh.colors.reshape(-1, 4), axis=0).tolist()


def read_views(path: Path) -> list[View]:
    """The cameras of a rendering_metadata.txt: azimuth, elevation, in-plane, ratio, fov."""
    return [View(*row[[0, 1, 3]]) for row in np.loadtxt(path, ndmin=2)]
