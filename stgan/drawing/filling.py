"""What lies where nothing is known: slow colours spread from around, and grain like that of the photo."""

import cv2
import numpy as np

from stgan.photo.light import luminance

LARGEST = 128  # radius of a sample of grain in pixels of the photo
SMALLEST = 12  # its side
TILE = 256  # side of what is repeated: nobody sees it again so far away
WIDEST = 4.0  # standard deviation of a circle in pixels, above which an image is halved
STRONGEST = 5.0  # median amplitudes of a grain above which it is an edge, or a wrinkle


def spread(image: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """The weighted mean (H, W, C) of an image around each pixel. Where nothing has weight nearby, of a wider circle.

    Pull and push over a pyramid (Gortler et al., SIGGRAPH 1996, doi 10.1145/237170.237200, section 3.4).

    Args:
        weight: (H, W), not negative.
        sigma: standard deviation of the finest circle in pixels.
    """
    data: np.ndarray = np.dstack([image * weight[..., None], weight]).astype(np.float32)
    sizes = []
    while sigma > WIDEST and min(data.shape[:2]) > 8:  # wide circles need no fine pixels
        sizes.append(data.shape[1::-1])
        data, sigma = cv2.pyrDown(data), sigma / 2
    levels = [cv2.GaussianBlur(data, (0, 0), sigma)]
    while min(levels[-1].shape[:2]) > 4:
        levels.append(cv2.pyrDown(levels[-1]))
    total = levels[-1].sum(axis=(0, 1))
    result = np.ones_like(levels[-1][..., :1]) * total[:-1] / max(float(total[-1]), 1e-9)
    for level in levels[::-1]:
        if result.shape[:2] != level.shape[:2]:
            # OpenCV drops a single channel.
            result = cv2.pyrUp(result, dstsize=level.shape[1::-1]).reshape(*level.shape[:2], -1)
        known = np.clip(level[..., -1:] * 6, 0, 1)
        result = result + known * (level[..., :-1] / np.maximum(level[..., -1:], 1e-9) - result)
    for size in sizes[::-1]:
        result = cv2.pyrUp(result, dstsize=size)
    return result.reshape(*image.shape[:2], -1)


def in_the_hues(drawn: np.ndarray, around: np.ndarray, most: np.ndarray) -> np.ndarray:
    """A drawing (H, W, 3) whose colours differ from those around by hardly more than some levels (H, W)."""
    grey = luminance(drawn)[..., None]
    hue = around - luminance(around)[..., None]
    return grey + hue + most[..., None] * np.tanh((drawn - grey - hue) / most[..., None])


def grain_of(patch: np.ndarray, sigma: float) -> np.ndarray:
    """Noise float32 (N, N, 3), levels, as :func:`grain_like` makes it from the fine detail of a patch."""
    return grain_like(fine_of(patch, sigma))


def fine_of(patch: np.ndarray, sigma: float) -> np.ndarray:
    """The fine detail of a patch uint8 (h, w, 3), float32 (N, N, 3) in levels; a single pixel 0 of a small one.

    Args:
        sigma: standard deviation in pixels below which detail is fine.
    """
    side = min(patch.shape[:2])
    if side < SMALLEST:
        return np.zeros((1, 1, 3), np.float32)
    levels = patch[:side, :side].astype(np.float32)
    fine = levels - cv2.GaussianBlur(levels, (0, 0), max(0.8, sigma))
    most = STRONGEST * np.median(np.abs(fine), axis=(0, 1)) + 0.5
    fine = np.clip(fine, -most, most)
    fine -= fine.mean(axis=(0, 1))
    return fine


def grain_like(fine: np.ndarray) -> np.ndarray:
    """Noise float32 (N, N, 3), levels, with the detail that :func:`fine_of` returns but not its pattern.

    Its colours vary together as those of the detail do. Their spectra are its own, averaged over directions. It may be
    repeated side by side.
    """
    if len(fine) == 1:
        return fine
    _, axes = np.linalg.eigh(np.cov(fine.reshape(-1, 3).T))  # colours that vary independently
    random = np.random.default_rng(0)
    parts = [_shaped(part, random) for part in cv2.split(fine @ axes.astype(np.float32))]
    return (np.dstack(parts) @ axes.T).astype(np.float32)


def _shaped(fine: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Noise (N, N) with the spectrum and the deviation of a square (h, h)."""
    side = len(fine)
    power = np.abs(np.fft.fft2(fine * np.outer(*[np.hanning(side + 2)[1:-1]] * 2))) ** 2
    ring = np.rint(_frequencies(side) * side).astype(int)
    spectrum = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    wanted = np.interp(_frequencies(TILE) * side, np.arange(len(spectrum)), np.sqrt(spectrum))
    shaped = np.fft.ifft2(np.fft.fft2(random.normal(size=(TILE, TILE))) * wanted).real
    return shaped * (fine.std() / max(float(shaped.std()), 1e-6))


def _frequencies(side: int) -> np.ndarray:
    """Cycles per pixel, (N, N), of the Fourier transform of a square."""
    return np.hypot(*np.meshgrid(*[np.fft.fftfreq(side)] * 2))


def repeated(sample: np.ndarray, corner: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """A sample (N, N, ...) repeated over the part (h, w, ...) of the photo with this upper left ``corner``."""
    rows, columns = (np.arange(start, start + count) % side
                     for start, count, side in zip(corner[::-1], shape[:2], sample.shape[:2], strict=True))  # fmt: skip
    return sample[np.ix_(rows, columns)]
