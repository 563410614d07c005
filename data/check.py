"""Check every file of a dataset; exit with 1 if one has a problem.

python -m data.check DIR
"""

import os
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path

from PIL import Image

from data.cameras import METADATA, read_views
from data.datasets import index_any
from data.layout import EXCLUDED, RENDERING_SIZE, RESOLUTIONS
from data.shapenet import ShapeNetIndex, read_excluded
from utils.errors import InputError, Parser, check_ranges, explain, run
from utils.files import atomic_write, read_bytes, read_text
from utils.parallel import parallel_map


@dataclass
class Finding:
    """Problems of one shape, and what is compared with other shapes."""

    name: str
    num_views: int
    resolution: int | None = None
    problems: list[str] = field(default_factory=list)
    images: dict[str, bytes] = field(default_factory=dict)  # digest by file name
    voxels: dict[str, bytes] = field(default_factory=dict)


def check(root: str | Path, processes: int | None = None) -> tuple[dict[str, list[str]], list[str]]:
    """Open every file of the shapes under `root`.

    Returns:
        tuple: A dict of "category/shape" to its problems, and notes on what does no harm: shapes
            with the voxels of another, and files that are not views.

    Raises:
        InputError: If there is no shape with both views and voxels.
    """
    index, _ = index_any(root)
    findings = parallel_map(check_shape, index.split_up(), "check", processes)
    _compare_numbers(findings, "num_views", "views")
    _compare_numbers(findings, "resolution", "voxels per side")
    for finding, problem in _find_repeats(findings, "images"):
        finding.problems.append(problem)
    problems = {finding.name: finding.problems for finding in findings if finding.problems}
    notes = [f"{finding.name}: {note}" for finding, note in _find_repeats(findings, "voxels")]
    for reason, names in index.left_out.items():
        if reason.startswith("shapes "):
            problems |= {name: [reason.removeprefix("shapes ")] for name in names}
        else:
            notes += [f"{name}: not a view" for name in names]
    return problems, notes


def check_shape(shape: ShapeNetIndex) -> Finding:
    """Open the files of an index of one shape."""
    views = shape.views[0]
    finding = Finding(shape.names[0], len(views))
    missing = set(range(max(views))) - set(views)
    finding.problems += [f"view {view}: missing" for view in sorted(missing)]
    for view, name in views.items():
        try:
            content = read_bytes(shape.image_path(0, view))
            finding.images[name] = sha256(content).digest()
            problem = _find_image_problem(content)
        except (InputError, OSError) as error:
            problem = explain(error)
        if problem:
            finding.problems.append(f"{name}: {problem}")
    try:
        metadata = Path(shape.views_folder(0), METADATA)
        if metadata.exists() and (num_cameras := len(read_views(metadata))) != len(views):
            problem = f"expected a line for each of {len(views)} views, got {num_cameras}"
            finding.problems.append(f"{METADATA}: {problem}")
        _check_voxels(shape, finding)
    except (InputError, OSError) as error:
        finding.problems.append(explain(error))
    return finding


def _find_image_problem(content: bytes) -> str:
    """Return what is wrong with the file of a view, if anything."""
    try:
        with Image.open(BytesIO(content), formats=["PNG", "JPEG"]) as image:
            image.load()
    except Exception as error:  # decoders raise anything for a damaged file
        return f"damaged: {error}"
    mode = "RGBA" if image.format == "PNG" else "RGB"
    if image.mode != mode or image.size != (RENDERING_SIZE, RENDERING_SIZE):
        expected = f"{RENDERING_SIZE}x{RENDERING_SIZE} {mode}"
        return f"expected {expected}, got {image.width}x{image.height} {image.mode}"
    if mode == "RGB":
        return ""
    low, high = image.getchannel("A").getextrema()
    if low == 255:
        return "full: no background"
    return "" if high else "empty: nothing but background"


def _check_voxels(shape: ShapeNetIndex, finding: Finding) -> None:
    voxels = shape.load_voxels(0)
    finding.resolution, name = len(voxels), os.path.basename(shape.voxels_path(0))
    finding.voxels[name] = sha256(voxels.tobytes()).digest()
    if len(voxels) not in RESOLUTIONS:
        finding.problems.append(f"{name}: expected 32³ or 64³ voxels, got {len(voxels)}³")
    if voxels.min() == voxels.max():
        finding.problems.append(f"{name}: {'full' if voxels.all() else 'empty'}")


def _compare_numbers(findings: list[Finding], attribute: str, unit: str) -> None:
    """Note the shapes whose number differs from the most common one."""
    numbers = [getattr(finding, attribute) for finding in findings]
    counts = Counter(number for number in numbers if number is not None)
    for finding, number in zip(findings, numbers, strict=True):
        if number is not None and number != (usual := counts.most_common(1)[0][0]):
            finding.problems.append(f"expected {usual} {unit} as elsewhere, got {number}")


def _find_repeats(findings: list[Finding], attribute: str) -> list[tuple[Finding, str]]:
    """Return which files have the content of an earlier one."""
    first, repeats = {}, []
    for finding in findings:
        for name, digest in getattr(finding, attribute).items():
            place = f"{finding.name}/{name}"
            if (other := first.setdefault(digest, place)) != place:
                repeats.append((finding, f"{name}: same as {other}"))
    return repeats


def write_exclude(root: str | Path, problems: dict[str, list[str]]) -> None:
    """Add the shapes with problems to exclude.txt, which keeps them out of every split."""
    path = Path(root) / EXCLUDED
    added = [name for name in problems if name not in read_excluded(root)]
    if not added:
        print(f"{path}: nothing to add")
        return
    text = read_text(path).rstrip("\n") if path.exists() else "# One category/shape per line."
    for name in added:
        text += "".join(f"\n# {reason}" for reason in problems[name]) + f"\n{name}"
    with atomic_write(path) as temporary:
        temporary.write_text(f"{text}\n", "utf-8")
    print(f"{path}: {len(added)} shapes added")


def main() -> int:
    """Print the problems of a dataset; return 1 if it has any."""
    parser = Parser(prog="python -m data.check", description=__doc__.split("\n", 1)[0])
    parser.add_argument("dataset", type=Path, help="folder of the dataset")
    remedy = f"list the shapes with a problem in DATASET/{EXCLUDED}: train.py and test.py skip them"
    parser.add_argument("--write-exclude", action="store_true", help=remedy)
    parser.add_argument("--processes", type=int, help="default: all cores")
    args = parser.parse_args()
    check_ranges(args, processes=(1, 1024))
    problems, notes = check(args.dataset, args.processes)
    for name, reasons in problems.items():
        for reason in reasons:
            print(f"{name}: {reason}")
    for note in notes:
        print(f"note: {note}")
    print(f"{len(problems)} shapes have a problem")
    if args.write_exclude:
        write_exclude(args.dataset, problems)
    return int(bool(problems))


if __name__ == "__main__":
    run(main)
