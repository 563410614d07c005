"""What a mesh's file refers to, materials and pictures, read from the folder around it."""

from pathlib import Path

from trimesh.resolvers import Resolver

from utils.errors import UserError

LARGEST_FILE = 256 * 2**20  # bytes


class FolderAssets(Resolver):
    """The files beside a mesh, and below its parent folder, where ShapeNet keeps its pictures.

    Names that lead elsewhere are looked for beside the mesh: files of strangers often carry the
    full path of their author's machine.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder).resolve()

    def get(self, name: str) -> bytes:
        name = name.strip().replace("\\", "/")
        for path in (self.folder / name, self.folder / name.rsplit("/", 1)[-1]):
            path = path.resolve()
            if path.is_relative_to(self.folder.parent) and path.is_file():
                return read_limited(path)
        raise FileNotFoundError(name)

    def keys(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def namespaced(self, namespace: str) -> "FolderAssets":
        return FolderAssets(self.folder / namespace)

    def write(self, name: str, data: bytes):
        raise NotImplementedError("the assets of a mesh are only read")


def read_limited(path: Path) -> bytes:
    """The content of a file. Raises UserError for one of more than 256 MB."""
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise UserError(f"{path}: expected at most {LARGEST_FILE} bytes, found {size}")
    return path.read_bytes()
