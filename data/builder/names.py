"""Categories and names of shapes, from the folders and files that their meshes are in."""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path, PurePath

from data.layout import CATEGORIES, SYNSETS

MAX_NAME_BYTES = 200  # file systems take 255
CONTAINER_WORDS = {
    *"asset assets export exports file files format formats image images map maps".split(),
    *"material materials mesh meshes model models normalized object objects raw".split(),
    *"scene scenes source sources tex texture textures untitled unity unreal".split(),
    *"3d 3ds 3mf blend blender blends collada dae fbx glb glbs gltf lwo".split(),
    *"obj objs off ply stl stls usd usdz x3d 1k 2k 4k 8k".split(),
}
MIN_SINGLES = 0.9  # of the folders must have one object for them to be objects, not categories


def is_container(name: str) -> bool:
    """Return whether a name tells no more than a kind of content: "meshes", "OBJ format"."""
    return CONTAINER_WORDS.issuperset(re.findall(r"[^\W_]+", name.lower()) or [name])


def clean_name(name: str) -> str:
    """Return a name that can be a folder's on any system; "+" is reserved for variants."""
    name = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    short = name.encode(errors="ignore")[:MAX_NAME_BYTES].decode(errors="ignore")
    return short.strip("-.") or "unnamed"


def category_folder(name: str) -> str:
    """Return a category's folder: the id of an official one given by name or id, else the name."""
    name = clean_name(name)
    return SYNSETS.get(name.lower(), name)


@dataclass(frozen=True)
class Place:
    """Where a mesh is, without names such as "meshes".

    Attributes:
        base: The folder or archive that was given.
        folders: Those below it.
        stem: The file's name without its suffix.
        synset: The official category whose id is in the path, if there is one.
    """

    base: Path
    folders: tuple[str, ...]
    stem: str
    synset: str

    @classmethod
    def of(cls, base: Path, below: PurePath) -> "Place":
        """Return the place of the mesh at `base / below`."""
        *folders, stem = (*below.parts[:-1], below.stem)
        ids = [part for part in (*base.resolve().parts, *folders) if part in CATEGORIES]
        telling = tuple(folder for folder in folders if not is_container(folder))
        return cls(base, telling, "" if is_container(stem) else stem, ids[-1] if ids else "")

    @property
    def object_path(self) -> Path:
        """A path that the formats and copies of an object have in common."""
        return self.base.joinpath(*self.folders, self.stem)

    @property
    def top(self) -> tuple[Path, str] | None:
        """The topmost folder below the given one."""
        return (self.base, self.folders[0]) if self.folders else None

    @property
    def above(self) -> list[str]:
        """The given folder and those that it is in."""
        parts = [part for part in self.base.resolve().parts if not is_container(part)]
        return parts[::-1]

    @property
    def name(self) -> str:
        """The file's name, else the nearest folder's."""
        return self.stem or [self.above[0], *self.folders][-1]


def name_shapes(places: list[Place]) -> list[tuple[str, str]]:
    """Return the category and the name of the shape at each place.

    In ShapeNet's tree, the category is the official one. Elsewhere it is the topmost folder below
    the given one. Where folders hold one object each, they are objects of one category, which is
    named after the given folder.
    """
    num_objects = Counter(place.top for place in places)
    objects = {
        place.top
        for place in places
        if num_objects[place.top] == 1 and len(place.folders) == 1 and not place.stem
    }
    tops_of_base = defaultdict(list)
    for top in filter(None, num_objects):
        tops_of_base[top[0]].append(top)
    for tops in tops_of_base.values():
        singles = [top for top in tops if num_objects[top] == 1]
        are_categories = any(category_folder(folder) in CATEGORIES for _, folder in tops)
        if not are_categories and len(singles) >= max(2, MIN_SINGLES * len(tops)):
            objects.update(singles)
    return [_name_shape(place, place.top in objects) for place in places]


def _name_shape(place: Place, is_object: bool) -> tuple[str, str]:
    """Return a category and a name; `is_object` is for the topmost folder."""
    if place.synset:
        return place.synset, place.name
    if place.folders:
        top = category_folder(place.folders[0])
        if is_object and top not in CATEGORIES:
            return category_folder(place.above[0]), place.folders[0]
        return top, place.name
    given, parent = [category_folder(name) for name in (*place.above, "shapes", "shapes")[:2]]
    is_category = place.stem or given in CATEGORIES  # else it is the folder of the object
    return given if is_category else parent, place.name
