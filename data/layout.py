"""Names and sizes of ShapeNet's renderings and voxels, shared by the readers and the builder.

ROOT/ShapeNetRendering/<category>/<shape>/rendering/{00..23}.png, renderings.txt,
rendering_metadata.txt; ROOT/ShapeNetVox32/<category>/<shape>/model.binvox.
The images may also be .jpg, without an alpha channel.
"""

RENDERINGS, VOXELS = "ShapeNetRendering", "ShapeNetVox32"
METADATA, VOXELS_FILE = "rendering_metadata.txt", "model.binvox"
EXCLUDED = "exclude.txt"  # in ROOT: one category/shape per line, left out of every split
RENDERING_SIZE = 137  # pixels per side
NUM_VIEWS = 24
RESOLUTION = 32  # voxels per side; data.builder can make 64 as well
RESOLUTIONS = (32, 64)

# The 13 categories of 3D-R2N2 (WordNet synsets); any other category goes by its folder's name.
SYNSETS = {
    "airplane": "02691156",
    "bench": "02828884",
    "cabinet": "02933112",
    "car": "02958343",
    "chair": "03001627",
    "display": "03211117",
    "lamp": "03636649",
    "speaker": "03691459",
    "rifle": "04090263",
    "sofa": "04256520",
    "table": "04379243",
    "telephone": "04401088",
    "watercraft": "04530566",
}
CATEGORIES = {synset: name for name, synset in SYNSETS.items()}
