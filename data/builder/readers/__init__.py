"""Read mesh files of several formats with their materials."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np

from data.builder.mesh import Mesh, concatenate, drop_degenerate, select, transform
from data.builder.readers.assets import Assets
from data.builder.readers.assimp import CONVERTIBLE, convert_to_glb
from data.builder.readers.gltf import read_gltf
from data.builder.readers.obj import read_obj
from data.builder.readers.off import read_off
from data.builder.readers.ply import read_ply
from data.builder.readers.stl import read_stl
from utils.errors import InputError
from utils.files import refuse_placeholder

READERS = {
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".obj": read_obj,
    ".ply": read_ply,
    ".stl": read_stl,
    ".off": read_off,
}
Z_UP = (".blend", ".3mf")  # assimp converts these without a rotation
TO_Y_UP = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]])  # the front goes from -y to z, as in glTF
PREFERENCE = (*READERS, *CONVERTIBLE)  # of an object's files, that in the first format is built
# Files of these formats are counted if they cannot be read.
OTHERS = {
    *".3dm .abc .ac .ase .b3d .c4d .dff .dwg .dxf .f3d .ifc .iges .igs .ive .jt .lxo .ma".split(),
    *".max .mb .md2 .md3 .md5mesh .ms3d .nif .osgb .pmx .skp .sldasm .sldprt .step .stp".split(),
    *".vox .vrm .x .x_t .ztl".split(),
    *".usd .usda .usdc .usdz .wrl .7z .bz2 .gz .rar .tar .tgz .xz".split(),
    *CONVERTIBLE,
}


def is_readable(suffix: str) -> bool:
    return suffix in READERS or (suffix in CONVERTIBLE and shutil.which("assimp") is not None)


def explain_others(others: Counter) -> str:
    """Return a line on the files, counted by suffix, that cannot be read."""
    listed = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
    convertible = " ".join(suffix for suffix in CONVERTIBLE if suffix in others)
    remedy = f"; for {convertible}, `apt install assimp-utils` or `brew install assimp`"
    return f"files of formats that cannot be read: {listed}{remedy if convertible else ''}"


def parse_mesh(content: bytes, name: str, assets: Assets) -> Mesh:
    """Read the content of a mesh file, whose name tells its format.

    Faces without an area are left out, and so are invisible ones unless all are. Raises InputError
    when it is damaged or has no triangles.
    """
    refuse_placeholder(content)
    suffix = Path(name).suffix.lower()
    read = READERS.get(suffix, read_gltf)
    try:
        if suffix in CONVERTIBLE:
            content = convert_to_glb(content, suffix)
        with np.errstate(all="ignore"):  # what is not finite is refused by make_mesh
            mesh = concatenate(read(content, assets, name))
            mesh = _drop_invisible(drop_degenerate(mesh), assets)
            return transform(mesh, TO_Y_UP) if suffix in Z_UP else mesh
    except InputError:
        raise
    except Exception as error:  # a damaged file can break a parser in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"cannot be read as {suffix[1:]}: {reason}") from error


def _drop_invisible(mesh: Mesh, assets: Assets) -> Mesh:
    """Leave out faces whose alpha is 0; where all are, their exporter meant opaque."""
    has_alpha = [texture.pixels[..., 3].any() for texture in mesh.textures]
    visible = mesh.colors[..., 3].any(axis=1) & np.array([*has_alpha, True])[mesh.texture]
    if visible.all():
        return mesh
    if visible.any():
        assets.note("faces whose opacity is 0 are left out")
        return select(mesh, visible)
    assets.note("the opacity of all faces is 0; they are built as opaque")
    opaque = [t._replace(pixels=t.pixels | np.uint8([0, 0, 0, 255])) for t in mesh.textures]
    return replace(mesh, colors=mesh.colors | np.uint8([0, 0, 0, 255]), textures=opaque)
