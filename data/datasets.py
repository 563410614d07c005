"""Open a dataset by its path.

Another dataset is a file data/NAME.py with the interface of data/shapenet.py, and a line in
`index_any`, which data.check and data.contact_sheet use too.
"""

from pathlib import Path

from data.layout import CATEGORIES, EXCLUDED, SYNSETS
from data.occupancy import index_occupancy, is_occupancy
from data.shapenet import ShapeNetIndex, index_dataset
from data.splits import SPLITS, split_from_file, split_sorted
from utils.errors import InputError

SYNTHETIC = Path("datasets/synthetic")


def index_any(root: str | Path) -> tuple[ShapeNetIndex, dict[str, list[int]] | None]:
    """List the shapes under `root` in either layout, and its own splits if it has any."""
    if is_occupancy(root):
        return index_occupancy(root)
    return index_dataset(root), None


def open_dataset(
    database_path: str | Path, split_file: str, val_fraction: float, categories: str = ""
) -> tuple[ShapeNetIndex, dict[str, list[int]]]:
    """Index and split a dataset; print its size and what was left out.

    Args:
        database_path (str | Path): Folder of a dataset, or "synthetic" for the procedural one,
            which is made on first use.
        split_file (str): JSON file of a split; "" for the dataset's own or the sorted 80/20 split.
        val_fraction (float): Fraction of the sorted training split to validate on.
        categories (str): Names or folders, separated by commas; "" for all.

    Returns:
        tuple: The index, and a dict of "train", "val", "test" and "all" to lists of indices. "all"
            has each shape once, with all views even if `split_file` lists some.

    Raises:
        InputError: If the dataset or the split cannot be read, or a category has no shapes.
    """
    if database_path == "synthetic":
        from data.builder.synthetic import build_synthetic  # needs embreex

        build_synthetic(SYNTHETIC)
        database_path = SYNTHETIC
    index, splits = index_any(database_path)
    names = index.names  # split_from_file may add rows
    if split_file:
        index, splits = split_from_file(index, split_file)
        if not any(splits.values()):
            raise InputError(f"split_file: {split_file}: none of its shapes are in {index.root}")
    elif splits is None:
        splits = split_sorted(index, val_fraction)
    splits["all"] = range(len(names))

    unused = _find_unused(index, names, categories)
    unused_names = set().union(*unused.values())
    splits = {
        split: sorted(i for i in indices if index.names[i] not in unused_names)
        for split, indices in splits.items()
    }
    sizes = ", ".join(f"{len(splits[split])} {split}" for split in SPLITS)
    print(f"{index.root}: {len(splits['all'])} shapes ({sizes})")
    for reason, found in (index.left_out | unused).items():
        if found:
            print(f"left out: {reason}: {len(found)}, such as {found[0]}")
    return index, splits


def _find_unused(index: ShapeNetIndex, names: list[str], categories: str) -> dict[str, list[str]]:
    """Return the names of shapes that are in exclude.txt or of other categories, by reason."""
    unused = {f"in {EXCLUDED}": [name for name in names if name in index.excluded]}
    if categories:
        listed = [category.strip() for category in categories.split(",")]
        folders = {SYNSETS.get(category, category): category for category in listed}
        present = {name.partition("/")[0] for name in names}
        for missing in folders.keys() - present:
            found = ", ".join(sorted(CATEGORIES.get(folder, folder) for folder in present))
            raise InputError(
                f"categories: no shapes of {folders[missing]!r} in {index.root}; it has {found}"
            )
        others = [name for name in names if name.partition("/")[0] not in folders]
        unused["of other categories"] = [name for name in others if name not in index.excluded]
    return unused
