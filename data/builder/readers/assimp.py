"""Other formats, which assimp converts to glTF where it is installed."""

import re
import subprocess
import tempfile
from pathlib import Path

from utils.errors import InputError

CONVERTIBLE = (".fbx", ".dae", ".blend", ".3ds", ".lwo", ".x3d", ".3mf")
MAX_SECONDS = 120  # assimp hangs on some files


def convert_to_glb(content: bytes, suffix: str) -> bytes:
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
            reason = re.search("ERROR: (.+)", done.stdout.decode(errors="replace"))
            raise InputError(f"assimp cannot convert it: {reason[1] if reason else 'it crashed'}")
        return target.read_bytes()
