"""Open every file of a dataset and say what is wrong with it.

python -m data.check DIR
"""

from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from data.binvox import read_binvox
from data.cameras import MAX_METADATA_BYTES
from data.layout import EXCLUDED, RENDERINGS, SIZE, VOXELS, real_trees
from data.parallel import parallel_map
from data.transforms import LARGEST_PICTURE
from utils.errors import InputError, Parser, check_ranges, explain, run
from utils.files import atomic_write, read_bytes, read_text


@dataclass
class Finding:
    """What one object's files hold: problems, and what is compared with the other objects."""

    name: str
    problems: list[str] = field(default_factory=list)
    views: int | None = None
    grid: int | None = None
    pictures: dict[bytes, str] = field(default_factory=dict)  # file names by digest
    voxels: bytes | None = None  # digest


def check(root: str | Path, processes: int | None = None) -> tuple[dict[str, list[str]], list[str]]:
    """Open every file of the objects under root.

    Returns the problems of each object "category/model" that has some, and notes on objects that
    can be used but have the voxels of another. Raises InputError when there is no object.
    """
    root = Path(root)
    names = sorted(
        {
            folder.relative_to(root / tree).as_posix()
            for tree in (RENDERINGS, VOXELS)
            for folder in (root / tree).glob("[!.]*/[!.]*")
            if folder.is_dir()
        }
    )
    if not names:
        raise InputError(f"{root}: expected objects in {RENDERINGS} and {VOXELS}, found none")
    findings = parallel_map(partial(examine, root), names, "objects", processes)
    _compare(findings)
    notes = _same_voxels(findings)
    return {found.name: found.problems for found in findings if found.problems}, notes


def examine(root: Path, name: str) -> Finding:
    """Open the files of one object."""
    found = Finding(name)
    renderings, voxels = real_trees(root)
    _examine_views(root / RENDERINGS / name / "rendering", renderings, found)
    path = root / VOXELS / name / "model.binvox"
    if not path.exists():
        found.problems.append("no model.binvox")
        return found
    try:
        occupied = read_binvox(path, voxels)
    except (InputError, OSError) as error:
        found.problems.append(explain(error).replace(str(path), path.name))
        return found
    found.grid = len(occupied)
    found.voxels = blake2b(occupied.tobytes(), digest_size=16).digest()
    if occupied.all() or not occupied.any():
        found.problems.append(f"model.binvox: {'full' if occupied.all() else 'empty'}")
    return found


def _examine_views(folder: Path, within: Path, found: Finding) -> None:
    if not folder.is_dir():
        found.problems.append("no renderings")
        return
    listed = _lines(folder / "renderings.txt", within, found)
    views = _lines(folder / "rendering_metadata.txt", within, found)
    if listed is not None and views is not None and len(views) != len(listed):
        found.problems.append(
            f"rendering_metadata.txt: expected {len(listed)} lines, found {len(views)}"
        )
    for number, line in enumerate(views or (), start=1):
        if not _is_camera(line):
            found.problems.append(
                f"rendering_metadata.txt:{number}: expected five numbers, found {line[:40]!r}"
            )
    present = {path.name for path in folder.glob("*.png")}
    names = sorted(present | set(listed or ()))
    found.views = len(names)
    for name in names:
        if name not in present:
            found.problems.append(f"{name}: missing")
            continue
        if listed is not None and name not in listed:
            found.problems.append(f"{name}: not in renderings.txt")
        try:
            content = read_bytes(folder / name, LARGEST_PICTURE, within)
        except (InputError, OSError) as error:
            found.problems.append(explain(error).replace(str(folder / name), name))
            continue
        other = found.pictures.setdefault(blake2b(content, digest_size=16).digest(), name)
        if other != name:
            found.problems.append(f"{name}: same as {other}")
        problem = picture_problem(content)
        if problem:
            found.problems.append(f"{name}: {problem}")


def _lines(path: Path, within: Path, found: Finding) -> list[str] | None:
    if not path.exists():
        found.problems.append(f"{path.name}: missing")
        return None
    try:
        return read_text(path, MAX_METADATA_BYTES, within).splitlines()
    except (InputError, OSError) as error:
        found.problems.append(explain(error).replace(str(path), path.name))
        return None


def _is_camera(line: str) -> bool:
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        return False
    return len(values) == 5 and bool(np.isfinite(values).all())


def picture_problem(content: bytes) -> str | None:
    """What is wrong with the bytes of a picture, if something is."""
    try:
        with Image.open(BytesIO(content), formats=["PNG"]) as image:
            if image.mode != "RGBA" or image.size != (SIZE, SIZE):
                width, height = image.size
                return f"expected {SIZE}x{SIZE} RGBA, found {width}x{height} {image.mode}"
            alpha = np.asarray(image)[..., 3]
    except Exception as error:  # a broken file can break a decoder in any way
        return f"cannot be read: {error or type(error).__name__}"
    if alpha.min() == 255:
        return "full: no background"
    return None if alpha.any() else "empty: nothing but background"


def _compare(findings: list[Finding]) -> None:
    """Add the problems that only show beside the other objects."""
    for what, unit in (("views", "views"), ("grid", "cells a side")):
        counts = Counter(getattr(found, what) for found in findings)
        del counts[None]
        usual = counts.most_common(1)[0][0] if counts else None
        for found in findings:
            value = getattr(found, what)
            if value not in (None, usual):
                found.problems.append(f"expected {usual} {unit} as elsewhere, found {value}")
    owners: dict[bytes, str] = {}
    for found in findings:
        for digest, picture in found.pictures.items():
            other = owners.setdefault(digest, f"{found.name}/{picture}")
            if not other.startswith(f"{found.name}/"):
                found.problems.append(f"{picture}: same as {other}")


def _same_voxels(findings: list[Finding]) -> list[str]:
    owners: dict[bytes, str] = {}
    notes = []
    for found in findings:
        if found.voxels is not None:
            other = owners.setdefault(found.voxels, found.name)
            if other != found.name:
                notes.append(f"{found.name}: same voxels as {other}")
    return notes


def write_exclude(root: str | Path, problems: dict[str, list[str]]) -> Path:
    """Write the list of objects that the index leaves out, each below its reasons."""
    path = Path(root) / EXCLUDED
    lines = ["# Written by data.check; one category/model a line."]
    for name, several in problems.items():
        lines += [*(f"# {problem}" for problem in several), name]
    with atomic_write(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def main() -> int:
    """The command. Its status is 1 when something is wrong."""
    parser = Parser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    exclude = f"write {EXCLUDED} anew, for the index to honour"
    parser.add_argument("--write-exclude", action="store_true", help=exclude)
    parser.add_argument("--processes", type=int, help="default: all cores")
    arguments = parser.parse_args()
    check_ranges(arguments, processes=(1, 1024))
    problems, notes = check(arguments.dataset, arguments.processes)
    for name, several in problems.items():
        for problem in several:
            print(f"{name}: {problem}")
    for note in notes:
        print(f"note: {note}")
    print(f"{len(problems)} objects have problems, {len(notes)} the voxels of another")
    if arguments.write_exclude:
        print(f"wrote {write_exclude(arguments.dataset, problems)}")
    return int(bool(problems))


if __name__ == "__main__":
    run(main)
