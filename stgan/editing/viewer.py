"""What an editor's parser sees of a face, and of what its edits drew."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.drawing.rims import HALF_SEEN, is_turned_away
from stgan.drawing.skull import hides_the_brows
from stgan.editing.outcome import COVERED
from stgan.editing.prepared import EditedCrop
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, AttributeClassifier, FaceParser, Generator
from stgan.models.covering import bareheaded, covered_shares, editable_regions, wears_a_hat
from stgan.models.parsed import FaceParts
from stgan.photo.align import Alignment
from stgan.photo.crop import crop_face, own_pixels
from stgan.photo.face import Face
from stgan.photo.files import Photo
from stgan.photo.light import Light
from stgan.photo.matte import WIDE, Silhouette, window


class FaceViewer:
    """Parses and classifies crops of faces. :class:`stgan.editing.painter.FacePainter` is one."""

    generator: Generator
    classifier: AttributeClassifier
    _columns: list[int]  # of the classifier, for each of the generator's attributes
    parser: FaceParser | None
    frozen_parser: FaceParser | None  # the same as it parses fastest on this device
    device: torch.device
    names: tuple[str, ...]

    @torch.inference_mode()
    def _probabilities(self, crop: np.ndarray) -> Tensor:
        """How likely a crop uint8 (S, S, 3) in the networks' light has each of the generator's attributes, (A,)."""
        return torch.sigmoid(self.classifier(self._image(crop)))[0, self._columns]

    def _shown(self, edited: EditedCrop, *names: str) -> np.ndarray:
        """Float (S, S) in [0, 1]: how certain it is that the crop shows one of these classes of the parser."""
        classes = edited.seen()[0].classes[0, [PARSER_CLASSES.index(name) for name in names]]
        return classes.sum(dim=0).float().cpu().numpy()

    @torch.inference_mode()
    def _drawn(self, edited: EditedCrop, *groups: Sequence[str]) -> list[np.ndarray]:
        """As :meth:`_shown` for each group of classes, of the crop after the edit."""
        assert self.frozen_parser is not None
        size = len(edited.after)
        crop = torch.from_numpy(edited.after.clip(0, 255) / 127.5 - 1).permute(2, 0, 1)[None].to(self.device)
        crop = F.interpolate(crop, size=(max(size, self.frozen_parser.image_size),) * 2, mode="bilinear")
        (classes,) = self.frozen_parser.parse(crop)
        shares = torch.stack([classes[[PARSER_CLASSES.index(name) for name in names]].sum(dim=0) for names in groups])
        return list(F.interpolate(shares[None], size=(size, size), mode="bilinear", antialias=True)[0].cpu().numpy())

    def _free(self, edited: EditedCrop, *names: str) -> np.ndarray:
        """Float (S, S) in [0, 1]: where one of these attributes may change the crop."""
        regions = edited.seen()[0].regions[0, [self.names.index(name) for name in names]]
        return regions.amax(dim=0).float().cpu().numpy()

    def _parse(
        self, photo: Photo, face: Face | None, alignment: Alignment, light: Light, others: Sequence[Face]
    ) -> tuple[FaceParts | None, Silhouette | None]:
        """What the crop and its surroundings show, and where edits may change the crop. None without a parser, or where
        edits have no regions."""
        if self.parser is None or self.generator.regions is None:
            return None, None
        size = self.generator.image_size
        close = self._view(photo.rgb, alignment, light)
        classes = F.interpolate(close, size=(size, size), mode="bilinear", antialias=True)
        regions = editable_regions(classes, self.names)
        wide = self._view(photo.rgb, alignment, light, WIDE)
        if not wears_a_hat(close):
            close, wide = bareheaded(close), bareheaded(wide)
        silhouette = Silhouette.of(close[0].cpu().numpy(), wide[0].cpu().numpy())
        if face is not None:
            regions = regions * torch.from_numpy(own_pixels(alignment, face, others, size)).to(regions)
            pixels = len(silhouette.hair)
            silhouette = silhouette.within(own_pixels(window(alignment, size, WIDE, pixels), face, others, pixels))
        return FaceParts(classes, regions), silhouette

    def _covered(self, parts: FaceParts, silhouette: Silhouette, people: Sequence[Face]) -> dict[str, float]:
        """Share in [0, 1] of each attribute's place that something covers; 1 if it makes an edit impossible."""
        shares = covered_shares(parts.classes, self.names)
        landmarks = people[0].landmarks if people else None
        hidden = is_turned_away(landmarks) or hides_the_brows(silhouette)
        if "Bald" in shares and (shares["Bald"] > COVERED or hidden):
            shares["Bald"] = 1.0
        if "Eyeglasses" in shares and is_turned_away(landmarks, HALF_SEEN):
            shares["Eyeglasses"] = 1.0
        return shares

    @torch.inference_mode()
    def _view(self, rgb: np.ndarray, alignment: Alignment, light: Light, reach: int = 1) -> Tensor:
        """The parser's classes (1, 10, W, W) for a window ``reach`` times as wide as the crop."""
        assert self.frozen_parser is not None
        size = self.generator.image_size
        pixels = reach * max(size, self.frozen_parser.image_size)
        crop = crop_face(rgb, window(alignment, size, reach, pixels), pixels)
        return self.frozen_parser.parse(self._image(light.crop(crop)), reach)

    def _image(self, crop: np.ndarray) -> Tensor:
        """A crop uint8 (S, S, 3) as the networks take it: (1, 3, S, S) in [-1, 1]."""
        return normalise(torch.from_numpy(crop).permute(2, 0, 1)[None].to(self.device))
