"""What an editor's networks make of a prepared face, at the photo's own size."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.attributes import HAIR_COLOUR, facts_of
from stgan.devices import autocast
from stgan.frame import normalise
from stgan.models import PARSER_CLASSES, Edit, FaceParser, Generator
from stgan.models.covering import editable_regions
from stgan.models.parsed import FaceParts, decode_faces
from stgan.photo.align import Alignment
from stgan.photo.crop import crop_face, own_pixels
from stgan.photo.face import Face
from stgan.photo.files import Photo
from stgan.photo.fringe import Fringe, draw_fringe
from stgan.photo.glasses import Glasses
from stgan.photo.glasses import wear as wear_glasses
from stgan.photo.hair import recolour_hair
from stgan.photo.light import Light
from stgan.photo.matte import WIDE, Silhouette, in_the_crop, window
from stgan.photo.paste import paste_edit
from stgan.photo.skin import toned
from stgan.prepared import PreparedFace

WORN = 0.005  # share of the crop that shows eyeglasses, above which a face wears some


class FacePainter:
    """Parses a face, decodes its edits and puts them into the photo. :class:`stgan.editor.FaceEditor` is one."""

    generator: Generator
    frozen: Generator  # the same as it edits fastest on this device
    parser: FaceParser | None
    device: torch.device
    dtype: torch.dtype | None
    names: tuple[str, ...]

    def paste(
        self,
        prepared: PreparedFace,
        edited: Tensor,
        mask: Tensor | None = None,
        *,
        region: Tensor | None = None,
        strands: Tensor | None = None,
        rgb: np.ndarray | None = None,
    ) -> np.ndarray:
        """An edited crop (3, S, S) in [-1, 1] put back into the photo: uint8 (H, W, 3).

        Args:
            mask: soft mask (S, S) of the edit, if the model has one.
            region: (S, S) in [0, 1], what the edit of a model without a soft mask was kept to.
            strands: (S, S) in [0, 1], where new dark structure is hair, such as a beard or a fringe.
            rgb: the photo with other edits, uint8 (H, W, 3); by default without any.
        """
        before, after, share = _levels(prepared, edited, mask, region)
        rgb = prepared.photo.rgb if rgb is None else rgb
        return paste_edit(
            rgb, prepared.alignment, before, after, share,
            silhouette=prepared.silhouette, strands=None if strands is None else strands.float().cpu().numpy(),
            light=prepared.light,
        )  # fmt: skip

    def tone_skin(self, prepared: PreparedFace, edited: Tensor, *parts: Any, **options: Any) -> np.ndarray:
        """The photo with its skin in the tone of an edited crop. Arguments as for :meth:`paste`.

        The face must be prepared with a parser.
        """
        assert prepared.parts is not None
        before, after, _ = _levels(prepared, edited, None, None)
        skin = prepared.parts.classes[0, PARSER_CLASSES.index("skin")].float().cpu().numpy()
        tone = torch.from_numpy(toned(before, after, skin)).permute(2, 0, 1) / 127.5 - 1
        return self.paste(prepared, tone.to(edited), *parts, **options)

    def recolour(
        self,
        prepared: PreparedFace,
        edited: Tensor,
        mask: Tensor | None = None,
        *,
        region: Tensor | None = None,
        strands: Tensor | None = None,
        rgb: np.ndarray | None = None,
    ) -> np.ndarray:
        """The photo with its hair in the colour of an edited crop. Arguments as for :meth:`paste`.

        The face must be prepared with a parser.
        """
        before, after, share = _levels(prepared, edited, mask, region)
        silhouette, alignment, light = prepared.silhouette, prepared.alignment, prepared.light
        assert silhouette is not None
        if rgb is None or rgb is prepared.photo.rgb:
            rgb, now = prepared.photo.rgb, silhouette
        else:  # the other edits may have added hair, or removed it
            now = silhouette.with_view(self._view(rgb, alignment, light)[0].cpu().numpy())
        return recolour_hair(rgb, alignment, before, after, share, silhouette, now, light=light)

    def draw_bangs(
        self,
        prepared: PreparedFace,
        edited: Tensor,
        mask: Tensor | None = None,
        *,
        region: Tensor | None = None,
        strands: Tensor | None = None,
        rgb: np.ndarray | None = None,
    ) -> np.ndarray:
        """The photo with its own hair as far over the forehead as the bangs of an edited crop reach. Arguments as for
        :meth:`paste`.

        The photo stays as it is where no hair is over the forehead, or a hat.
        """
        before, after, _ = _levels(prepared, edited, mask, None)
        parts, silhouette = prepared.parts, prepared.silhouette
        assert parts is not None
        assert silhouette is not None
        rgb = prepared.photo.rgb if rgb is None else rgb
        fringe = Fringe.read(before, after, in_the_crop(silhouette.hair, len(before)))
        if fringe is None:
            return rgb
        free = parts.regions[0, self.names.index("Bangs")].float().cpu().numpy()
        return draw_fringe(rgb, prepared.alignment, fringe, free, silhouette)

    def wear(
        self,
        prepared: PreparedFace,
        edited: Tensor,
        mask: Tensor | None = None,
        *,
        region: Tensor | None = None,
        strands: Tensor | None = None,
        rgb: np.ndarray | None = None,
    ) -> np.ndarray:
        """The photo with the eyeglasses of an edited crop, redrawn at its resolution. Arguments as for :meth:`paste`.

        The edited crop itself is pasted where it shows no new frame, or the face wears glasses already.
        """
        before, after, _ = _levels(prepared, edited, mask, None)
        parts, silhouette = prepared.parts, prepared.silhouette
        assert parts is not None
        assert silhouette is not None
        worn = parts.classes[0, PARSER_CLASSES.index("eyeglasses")].mean()
        glasses = Glasses.read(before, after) if worn < WORN else None
        if glasses is None:
            return self.paste(prepared, edited, mask, region=region, strands=strands, rgb=rgb)
        free = parts.regions[0, self.names.index("Eyeglasses")].float().cpu().numpy()
        rgb = prepared.photo.rgb if rgb is None else rgb
        return wear_glasses(rgb, prepared.alignment, glasses, free, silhouette, light=prepared.light)

    def _pixels(self, prepared: PreparedFace, condition: Tensor, differs: Sequence[Sequence[bool]]) -> list[np.ndarray]:
        """The photo, uint8 (H, W, 3), after each of K edits, which change the attributes that differ."""
        photos = [prepared.photo.rgb] * len(condition)
        for change, put in self._steps(prepared, condition):
            rows = [row for row, differ in enumerate(differs) if any(differ) and (change[row] != 0).any()]
            if not rows:
                continue
            decoded, region = self._decode(prepared, change[rows]), None
            if decoded.mask is None and self.generator.regions is not None:
                region = self.generator.region(change[rows], prepared.parts and prepared.parts.regions)
            for index, row in enumerate(rows):
                mask, kept_to = (None if each is None else each[index, 0] for each in (decoded.mask, region))
                strands = self._strands(prepared, change[row])
                photos[row] = put(
                    prepared, decoded.image[index], mask, region=kept_to, strands=strands, rgb=photos[row]
                )
        return photos

    def _steps(self, prepared: PreparedFace, condition: Tensor) -> list[tuple[Tensor, Callable[..., np.ndarray]]]:
        """Parts of a condition (K, A), which add up to it, in the order in which they change the photo, and how.

        Beards cover skin of any tone, hair takes its new colour when new hair is there, and glasses come last.
        """
        if prepared.silhouette is None:
            return [(condition, self.paste)]

        def part(of: Tensor, names: Collection[str]) -> Tensor:
            return of * torch.tensor([name in names for name in self.names], device=of.device)

        added = condition.clamp(min=0)
        bangs, glasses = part(added, ["Bangs"]), part(added, ["Eyeglasses"])
        tone = part(condition, ["Pale_Skin"])
        colours = part(condition, [name for name in self.names if facts_of(name).group == HAIR_COLOUR])
        rest = condition - tone - bangs - colours - glasses
        return [
            (tone, self.tone_skin), (rest, self.paste), (bangs, self.draw_bangs), (colours, self.recolour),
            (glasses, self.wear),
        ]  # fmt: skip

    def _strands(self, prepared: PreparedFace, change: Tensor) -> Tensor | None:
        """Where an edit (A,) draws hair, (S, S); None where it draws none, or without regions."""
        if self.generator.regions is None:
            return None
        hairy = torch.tensor([facts_of(name).is_hair for name in self.names], device=change.device)
        regions = self.generator.regions if prepared.parts is None else prepared.parts.regions[0]
        drawn = change != 0
        if not (drawn & hairy).any():
            return None
        where = regions[drawn & hairy].amax(dim=0)
        others = regions[drawn & ~hairy]
        return where * (1 - others.amax(dim=0)) if len(others) else where

    @torch.inference_mode()
    def _decode(self, prepared: PreparedFace, condition: Tensor) -> Edit:
        with autocast(self.device, self.dtype):
            edited = decode_faces(
                self.frozen, prepared.features, condition, prepared.parts, prepared.reconstruction[None]
            )
        return Edit(edited.image.float(), edited.rgb.float(), None if edited.mask is None else edited.mask.float())

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
        silhouette = Silhouette.of(
            close[0].cpu().numpy(), self._view(photo.rgb, alignment, light, WIDE)[0].cpu().numpy()
        )
        if face is not None:
            regions = regions * torch.from_numpy(own_pixels(alignment, face, others, size)).to(regions)
            pixels = len(silhouette.hair)
            silhouette = silhouette.within(own_pixels(window(alignment, size, WIDE, pixels), face, others, pixels))
        return FaceParts(classes, regions), silhouette

    @torch.inference_mode()
    def _view(self, rgb: np.ndarray, alignment: Alignment, light: Light, reach: int = 1) -> Tensor:
        """The parser's classes (1, 10, W, W) for a window ``reach`` times as wide as the crop."""
        assert self.parser is not None
        size = self.generator.image_size
        pixels = reach * max(size, self.parser.image_size)
        crop = crop_face(rgb, window(alignment, size, reach, pixels), pixels)
        return self.parser.parse(self._image(light.crop(crop)), reach)

    def _image(self, crop: np.ndarray) -> Tensor:
        """A crop uint8 (S, S, 3) as the networks take it: (1, 3, S, S) in [-1, 1]."""
        return normalise(torch.from_numpy(crop).permute(2, 0, 1)[None].to(self.device))


def _levels(
    prepared: PreparedFace, edited: Tensor, mask: Tensor | None, region: Tensor | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Reconstruction and edit, float32 (S, S, 3) in [0, 255], and mask (S, S), as the paste takes them."""
    before, after = (
        ((image.float().clamp(-1, 1) + 1) * 127.5).permute(1, 2, 0).cpu().numpy()
        for image in (prepared.reconstruction, edited)
    )
    if region is not None:
        # Outside the region the edit is the crop itself. Compared with the reconstruction, what the model cannot
        # draw would count as a change there.
        share = region.float().cpu().numpy()[..., None]
        before = prepared.crop + share * (before - prepared.crop)
    return before, after, None if mask is None else mask.float().cpu().numpy()
