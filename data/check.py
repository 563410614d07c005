"""Check every file of a dataset; exit with 1 if one has a problem, also with --write-exclude.

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

from data.cameras import read_metadata
from data.layout import EXCLUDED, RENDERING_SIZE, RENDERINGS, RESOLUTIONS, VOXELS
from data.occupancy import is_occupancy
from data.shapenet import RENDERING_SUFFIXES
from utils.errors import InputError, Parser, check_ranges, escape_controls, explain, run
from utils.files import atomic_write, read_bytes, read_text
from utils.parallel import parallel_map
from utils.voxels import read_binvox

MAX_TEXT_BYTES = 2**20  # of renderings.txt


@dataclass
class Finding:
    """Problems of one shape, and what is compared with other shapes."""

    name: str
    problems: list[str] = field(default_factory=list)
    num_views: int | None = None
    resolution: int | None = None
    images: list[tuple[bytes, str]] = field(default_factory=list)  # digest and file name
    voxels: bytes | None = None  # digest

    def read(self, reader, path: Path, *args):
        """Return reader(path, *args); note an error as a problem and return None."""
        try:
            return reader(path, *args)
        except FileNotFoundError:
            self.problems.append(f"{path.name}: missing")
        except (InputError, OSError) as error:
            self.problems.append(explain(error).replace(str(path), path.name))
        return None


def check(root: str | Path, processes: int | None = None) -> tuple[dict[str, list[str]], list[str]]:
    """Open every file of the shapes under `root`.

    Returns:
        tuple: A dict of "category/shape" to its problems, and notes on shapes that are usable but
            have the voxels of another.

    Raises:
        InputError: If there is no shape, or the layout is that of Occupancy Networks.
    """
    root = Path(root)
    if is_occupancy(root):
        raise InputError(f"{root}: only ShapeNet's layout is checked, not Occupancy Networks'")
    folders = [f for tree in (RENDERINGS, VOXELS) for f in (root / tree).glob("[!.]*/[!.]*")]
    names = sorted({"/".join(folder.parts[-2:]) for folder in folders if folder.is_dir()})
    if not names:
        raise InputError(f"{root}: no shapes in {RENDERINGS} and {VOXELS}")
    findings = parallel_map(partial(check_shape, root), names, "check", processes)
    for attribute, unit in (("num_views", "views"), ("resolution", "voxels per side")):
        _compare_numbers(findings, attribute, unit)
    _compare_images(findings)
    notes = _find_equal_voxels(findings)
    return {f.name: f.problems for f in findings if f.problems}, notes


def check_shape(root: Path, name: str) -> Finding:
    """Open the files of one shape."""
    finding = Finding(name)
    folder = root / RENDERINGS / name / "rendering"
    if folder.is_dir():
        _check_views(folder, finding)
    else:
        finding.problems.append("no renderings")
    voxels = finding.read(read_binvox, root / VOXELS / name / "model.binvox")
    if voxels is not None:
        finding.resolution = len(voxels)
        finding.voxels = _digest(voxels.tobytes())
        if len(voxels) not in RESOLUTIONS:
            finding.problems.append(f"model.binvox: expected 32³ or 64³, got {len(voxels)}³")
        if voxels.all() or not voxels.any():
            finding.problems.append(f"model.binvox: {'full' if voxels.all() else 'empty'}")
    return finding


def _check_views(folder: Path, finding: Finding) -> None:
    text = finding.read(read_text, folder / "renderings.txt", MAX_TEXT_BYTES)
    listed = None if text is None else text.splitlines()
    cameras = finding.read(read_metadata, folder / "rendering_metadata.txt")
    if listed is not None and cameras is not None and len(cameras) != len(listed):
        finding.problems.append(
            f"rendering_metadata.txt: expected {len(listed)} lines, got {len(cameras)}"
        )
    present = {path.name for path in folder.glob("[!.]*") if path.suffix in RENDERING_SUFFIXES}
    names = sorted(present | set(listed or ()))
    finding.num_views = len(names)
    for name in names:
        if name not in present:  # nor read: the list may name a file elsewhere
            finding.problems.append(f"{name}: missing")
            continue
        if (content := finding.read(read_bytes, folder / name)) is None:
            continue
        if listed is not None and name not in listed:
            finding.problems.append(f"{name}: not in renderings.txt")
        finding.images.append((_digest(content), name))
        if problem := _image_problem(content):
            finding.problems.append(f"{name}: {problem}")


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=16).digest()


def _image_problem(content: bytes) -> str | None:
    """Return what is wrong with a rendering's file, or None."""
    try:
        with Image.open(BytesIO(content), formats=["PNG", "JPEG"]) as image:
            mode = "RGBA" if image.format == "PNG" else "RGB"
            if image.mode != mode or image.size != (RENDERING_SIZE, RENDERING_SIZE):
                width, height = image.size
                expected = f"{RENDERING_SIZE}x{RENDERING_SIZE} {mode}"
                return f"expected {expected}, got {width}x{height} {image.mode}"
            if image.format == "JPEG":
                image.load()
                return None
            alpha = np.asarray(image)[..., 3]
    except Exception as error:  # a damaged file can raise anything in a decoder
        return f"damaged: {error or type(error).__name__}"
    if alpha.min() == 255:
        return "full: no background"
    return None if alpha.any() else "empty: nothing but background"


def _compare_numbers(findings: list[Finding], attribute: str, unit: str) -> None:
    """Note the shapes whose number differs from the most common one."""
    numbers = [getattr(f, attribute) for f in findings]
    counts = Counter(number for number in numbers if number is not None)
    for finding, number in zip(findings, numbers, strict=True):
        if number is not None and number != (usual := counts.most_common(1)[0][0]):
            finding.problems.append(f"expected {usual} {unit} as elsewhere, got {number}")


def _compare_images(findings: list[Finding]) -> None:
    """Note images that are there twice."""
    first: dict[bytes, tuple[str, str]] = {}
    for finding in findings:
        for digest, image in finding.images:
            name, other = first.setdefault(digest, (finding.name, image))
            if (name, other) != (finding.name, image):
                place = "" if name == finding.name else f"{name}/"
                finding.problems.append(f"{image}: same as {place}{other}")


def _find_equal_voxels(findings: list[Finding]) -> list[str]:
    owners: dict[bytes, str] = {}
    found = [f for f in findings if f.voxels is not None]
    pairs = [(f.name, owners.setdefault(f.voxels, f.name)) for f in found]
    return [f"{name}: same voxels as {owner}" for name, owner in pairs if owner != name]


def write_exclude(root: str | Path, problems: dict[str, list[str]]) -> Path:
    """Write the shapes with problems to exclude.txt, which keeps them out of every split.

    Names that do not fit in a line of it are printed and skipped.
    """
    path = Path(root) / EXCLUDED
    lines = ["# Written by data.check; one category/shape per line."]
    for name, reasons in problems.items():
        if "\n" in name or name != name.strip() or name.startswith("#"):
            print(f"{name!r}: not written to {EXCLUDED}; rename the folder")
            continue
        lines += [*(f"# {escape_controls(reason)}" for reason in reasons), name]
    with atomic_write(path) as temporary:  # folder names need not be UTF-8
        temporary.write_bytes(("\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    return path


def main() -> int:
    """Print the problems of a dataset; return 1 if it has any."""
    parser = Parser(prog="python -m data.check", description=__doc__.split("\n", 1)[0])
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    parser.add_argument("--write-exclude", action="store_true", help=f"list them in {EXCLUDED}")
    parser.add_argument("--processes", type=int, help="default: all cores")
    args = parser.parse_args()
    check_ranges(args, processes=(1, 1024))
    problems, notes = check(args.dataset, args.processes)
    for name, reasons in problems.items():
        for reason in reasons:
            print(f"{name}: {reason}")
    for note in notes:
        print(f"note: {note}")
    print(f"{len(problems)} shapes with problems, {len(notes)} with the voxels of another")
    if args.write_exclude:
        print(f"wrote {write_exclude(args.dataset, problems)}")
    return int(bool(problems))


if __name__ == "__main__":
    run(main)
