"""What lies where nothing is known: slow colours spread from around, and grain like that of the photo."""

import cv2
import numpy as np

LARGEST = 128  # radius of a sample of grain in pixels of the photo
SMALLEST = 12  # its side
TILE = 256  # side of what is repeated: nobody sees it again so far away
STRONGEST = 5.0  # median amplitudes of a grain above which it is an edge, or a wrinkle


def spread(image: np.ndarray, weight: np.ndarray, sigma: float) -> np.ndarray:
    """The weighted mean (H, W, C) of an image around each pixel. Where nothing has weight nearby, of a wider circle.

    Pull and push over a pyramid (Gortler et al., SIGGRAPH 1996, doi 10.1145/237170.237200, section 3.4).

    Args:
        weight: (H, W), not negative.
        sigma: standard deviation of the finest circle in pixels.
    """
    data = np.dstack([image * weight[..., None], weight]).astype(np.float32)
    levels = [cv2.GaussianBlur(data, (0, 0), sigma)]
    while min(levels[-1].shape[:2]) > 4:
        levels.append(cv2.pyrDown(levels[-1]))
    total = levels[-1].sum(axis=(0, 1))
    result = np.ones_like(levels[-1][..., :1]) * total[:-1] / max(float(total[-1]), 1e-9)
    for level in levels[::-1]:
        if result.shape[:2] != level.shape[:2]:
            result = cv2.pyrUp(result, dstsize=level.shape[1::-1])
        known = np.clip(level[..., -1:] * 6, 0, 1)
        result = result + known * (level[..., :-1] / np.maximum(level[..., -1:], 1e-9) - result)
    return result


def mirrored(image: np.ndarray, weight: np.ndarray, sigma: float, reach: float) -> np.ndarray:
    """As :func:`spread`; near what is known its pattern goes on in mirror image.

    Args:
        reach: pixels over which it fades.
    """
    slow, known = spread(image, weight, sigma), weight > 0.9
    if not known.any():
        return slow
    far, labels = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros((labels.max() + 1, 2), np.float32)
    nearest[labels[known]] = np.argwhere(known)
    places = np.indices(known.shape, np.float32).transpose(1, 2, 0)
    moves = cv2.GaussianBlur(nearest[labels] - places, (0, 0), sigma)  # no seams between places with other neighbours
    rows, columns = cv2.split(np.ascontiguousarray(places + 2 * moves))
    there = cv2.remap(np.dstack([image, weight]).astype(np.float32), columns, rows, cv2.INTER_LINEAR)
    side = 2 * max(1, round(2 * sigma)) + 1
    share = cv2.GaussianBlur(cv2.erode(there[..., 3], np.ones((side, side))), (0, 0), sigma)  # ends softly
    return slow + (share * np.exp(-((far / reach) ** 2)))[..., None] * (there[..., :3] - slow)


def grain_of(patch: np.ndarray, sigma: float) -> np.ndarray:
    """Noise float32 (N, N), levels of luminance, with the fine detail of a patch uint8 (h, w, 3) but not its pattern.

    Its spectrum is that of the patch, averaged over directions. It may be repeated side by side.

    Args:
        sigma: standard deviation in pixels below which detail is fine.
    """
    side = min(patch.shape[:2])
    if side < SMALLEST:
        return np.zeros((1, 1), np.float32)
    grey = cv2.cvtColor(patch[:side, :side], cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = grey - cv2.GaussianBlur(grey, (0, 0), max(0.8, sigma))
    most = STRONGEST * float(np.median(np.abs(fine))) + 0.5
    fine = np.clip(fine, -most, most)
    power = np.abs(np.fft.fft2((fine - fine.mean()) * np.outer(*[np.hanning(side + 2)[1:-1]] * 2))) ** 2
    ring = np.rint(_frequencies(side) * side).astype(int)
    spectrum = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
    wanted = np.interp(_frequencies(TILE) * side, np.arange(len(spectrum)), np.sqrt(spectrum))
    noise = np.random.default_rng(0).normal(size=(TILE, TILE))
    shaped = np.fft.ifft2(np.fft.fft2(noise) * wanted).real
    return (shaped * (fine.std() / max(float(shaped.std()), 1e-6))).astype(np.float32)


def _frequencies(side: int) -> np.ndarray:
    """Cycles per pixel, (N, N), of the Fourier transform of a square."""
    return np.hypot(*np.meshgrid(*[np.fft.fftfreq(side)] * 2))


def repeated(sample: np.ndarray, corner: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """A sample (N, N) repeated over the part (h, w, ...) of the photo with this upper left ``corner``."""
    rows, columns = (np.arange(start, start + count) % side
                     for start, count, side in zip(corner[::-1], shape, sample.shape, strict=False))  # fmt: skip
    return sample[np.ix_(rows, columns)]
