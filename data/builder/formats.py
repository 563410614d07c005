"""Mesh formats: those with a reader here, those that assimp converts, and others."""

import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path, PurePath

from data.builder.mesh import Mesh
from data.builder.readers import READERS, parse_mesh
from data.builder.readers.assets import Assets
from utils.errors import InputError
from utils.files import refuse_placeholder

CONVERTIBLE = (".fbx", ".dae", ".blend", ".3ds", ".lwo", ".x3d", ".3mf")
# Of the files of one object, the one in the first of these formats is built.
PREFERENCE = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off", *CONVERTIBLE)
UNREADABLE = {
    *".3dm .abc .c4d .dwg .dxf .iges .igs .ma .max .mb .skp .sldprt .step .stp".split(),
    *".usd .usda .usdc .usdz .wrl .7z .bz2 .gz .rar .tar .tgz .xz".split(),
}
MAX_SECONDS = 120  # assimp hangs on some files


def is_readable(suffix: str) -> bool:
    return suffix in READERS or (suffix in CONVERTIBLE and shutil.which("assimp") is not None)


def is_other(suffix: str) -> bool:
    """Return whether files of a suffix without a reader are worth a note."""
    return suffix in UNREADABLE or suffix in CONVERTIBLE


def explain_others(others: Counter) -> str:
    """Return a line on the files, counted by suffix, that cannot be read."""
    listed = ", ".join(f"{count} {suffix}" for suffix, count in sorted(others.items()))
    convertible = " ".join(suffix for suffix in CONVERTIBLE if suffix in others)
    remedy = f"; for {convertible}, `apt install assimp-utils` or `brew install assimp`"
    return f"files of formats that cannot be read: {listed}{remedy if convertible else ''}"


def read_mesh(content: bytes, name: str, assets: Assets) -> Mesh:
    """Read the content of a mesh file in any readable format; raise InputError if damaged."""
    refuse_placeholder(content)
    path = PurePath(name)
    if path.suffix.lower() in CONVERTIBLE:
        content, path = _convert_to_glb(content, path.suffix.lower()), path.with_suffix(".glb")
    return parse_mesh(content, path.name, assets)


def _convert_to_glb(content: bytes, suffix: str) -> bytes:
    """Convert a mesh file with assimp; textures in other files stay references to them.

    assimp gets a copy in an empty folder, and a process of its own, as it crashes on some files.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, f"mesh{suffix}"), Path(folder, "mesh.glb")
        source.write_bytes(content)
        command = ["assimp", "export", source.name, target.name]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=MAX_SECONDS)
        except subprocess.TimeoutExpired:
            raise InputError(f"assimp took more than {MAX_SECONDS} s to convert it") from None
        if not target.exists():
            lines = done.stdout.decode(errors="replace").splitlines()
            reason = next((line for line in lines if line.startswith("ERROR")), "it crashed")
            raise InputError(f"assimp cannot convert it: {reason.removeprefix('ERROR: ')}")
        return target.read_bytes()
