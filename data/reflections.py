"""Find the reflection of an object on a glossy floor."""

import numpy as np
from PIL import Image

SIDE = 160  # longest side in pixels; a reflection has less detail

# Bounds set on 255 renderings with a reflection and 334 without, of which 3 are within them.
MIN_CORRELATION = 0.8  # of a reflection with the object above, row by row
MAX_CONTRAST = 0.45  # of its contrast to the background, in that of the object
MAX_CONTRAST_NEAR = 0.6  # the same where both meet
MIN_ABOVE, MIN_BELOW = 0.45, 0.1  # parts of the height; less cannot be told from a foot


def find_reflection(image: Image.Image, alpha: np.ndarray) -> int | None:
    """Return the first row of a reflection in the mask (H, W) of an object, None without one.

    A reflection is a fainter copy of what is above, upside down.
    """
    scale = SIDE / max(image.size)
    size = tuple(max(round(side * scale), 1) for side in image.size)
    colors = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BOX), np.float32)
    alpha = np.asarray(Image.fromarray(alpha).resize(size, Image.Resampling.BOX))
    contrast = (colors - np.median(colors[alpha <= alpha.min() + 0.1], axis=0)) * alpha[..., None]
    rows = np.flatnonzero(alpha.max(axis=1) > alpha.max() / 2)
    top, end = rows[0], rows[-1] + 1
    first, last = top + MIN_ABOVE * (end - top), end - MIN_BELOW * (end - top)
    found, best = None, MIN_CORRELATION
    for row in range(int(first), int(last)):
        n = min(row - top, end - row)
        above, below = contrast[row - n : row][::-1], contrast[row : row + n]
        square, other, product = (
            (a * b).sum(axis=(1, 2)) for a, b in ((above, above), (below, below), (above, below))
        )
        near = slice(max(n // 5, 3))
        is_faint = product.sum() < MAX_CONTRAST * square.sum()
        is_faint &= product[near].sum() < MAX_CONTRAST_NEAR * square[near].sum()
        correlation = product.sum() / max(np.sqrt(square * other).sum(), 1)
        if is_faint and correlation > best:
            found, best = round(row / scale), correlation
    return found
