"""The formats of meshes by their suffixes."""

import shutil
from collections import Counter

from data.builder.readers import READERS
from data.builder.readers.assimp import CONVERTIBLE

# Of the files of one object, the one in the first of these formats is built.
PREFERENCE = (".glb", ".gltf", ".obj", ".ply", ".stl", ".off", *CONVERTIBLE)
# Files of these formats are counted if they cannot be read.
OTHERS = {
    *".3dm .abc .c4d .dwg .dxf .iges .igs .ma .max .mb .skp .sldprt .step .stp".split(),
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
