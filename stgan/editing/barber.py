"""Beards, mustaches and brows of a prepared face: drawn, pasted or thinned at the photo's own size."""

from dataclasses import replace

import numpy as np

from stgan.drawing.beard import drawn_beard, full_beard, mustache, read_beard
from stgan.drawing.brows import Reshaping, reshape_brows
from stgan.drawing.skin import unstained
from stgan.drawing.strokes import Growth, draw_hairs, hair_colour
from stgan.drawing.tones import MEASURED
from stgan.drawing.whiskers import crisper, single_hairs, softness
from stgan.drawing.white_hair import White
from stgan.editing.prepared import EditedCrop
from stgan.editing.viewer import FaceViewer
from stgan.photo.matte import in_the_crop
from stgan.photo.paste import paste_edit

BARE = ("skin", "neck")  # where a beard may grow
A_MAN = 0.9  # probability from which networks draw a beard well
WHITE, SOFT = 0.5, 1.2  # share of white hair and softness, from which they do not
SKETCHED = 0.08  # share of a beard that they draw at least in photos that show each hair


class Barber(FaceViewer):
    """Puts edits of short hair into the photo. :class:`stgan.editing.painter.FacePainter` is one."""

    def paste(self, edited: EditedCrop, rgb: np.ndarray, *, hair: bool = False) -> np.ndarray:
        """A photo uint8 (H, W, 3), perhaps with other edits, with an edited crop put back into it.

        ``hair``: whether it shows new hair on skin.
        """
        face = edited.prepared
        return paste_edit(
            rgb, face.alignment, edited.before, edited.after, edited.mask,
            silhouette=face.silhouette, light=face.light, hair=hair,
        )  # fmt: skip

    def draw_brows(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with its own brows drawn apart and more hairs in them; the edited crop is pasted where it shows
        none."""
        bushier = self._bushier(edited)
        if bushier is not None:
            return self._reshape_brows(edited, rgb, *bushier, "Bushy_Eyebrows")
        after = unstained(edited.before, edited.after, self._shown(edited, "skin", "brows"))
        return self.paste(replace(edited, after=after).without(self._shown(edited, "hair")), rgb)

    def thin_brows(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with its own brows drawn together; the edited crop is pasted where it shows no thinner ones."""
        shape = Reshaping.thinner(edited.before, edited.after, self._shown(edited, "brows"), edited.strength)
        if shape is None:
            return self.paste(edited, rgb)
        return reshape_brows(rgb, edited.prepared.alignment, shape, self._free(edited, "Bushy_Eyebrows"))

    def grow_beard(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with a short beard, hair by hair: a full one, or where an edited crop has another style.

        Where a network draws beards well it is that of the edited crop, with hairs as fine as the photo's. The crop is
        pasted also where no style is seen.
        """
        skin, neck, mouth = (self._shown(edited, name) for name in (*BARE, "mouth"))
        full = edited.changes.keys() == {"No_Beard"}  # another style is not named
        colour = self._hair_colour(edited, beard=full)
        drawn, white = read_beard(edited.before, edited.after, colour, skin + neck, mouth), self._white_hair(edited)
        if drawn is not None:
            beard = drawn_beard(edited.before, edited.after, skin + neck, mouth)
            if self._is_drawn_well(edited, drawn, beard, white):
                return self._paste_beard(edited, rgb, drawn, beard)
        growth = full_beard(skin, neck, mouth) if full else drawn
        if growth is None:
            return self.paste(edited.without(mouth), rgb)
        return self._grow(edited, rgb, growth, colour, self._free(edited, *edited.changes), white)

    def _is_drawn_well(self, edited: EditedCrop, drawn: Growth, beard: np.ndarray, white: White) -> bool:
        """Whether jurors believe the ``drawn`` beard of a network: it has seen few on faces of women, and few white
        ones.

        ``beard``: as :func:`drawn_beard`.
        """
        if edited.is_fine or edited.prepared.probabilities.get("Male", 0.0) < A_MAN:
            return False
        if not edited.is_detailed:
            return white.share < WHITE or softness(edited.after, beard, *self._own_hair(edited)) <= SOFT
        full = full_beard(*(self._shown(edited, name) for name in (*BARE, "mouth")))
        return white.share < WHITE and full is not None and drawn.density.sum() > SKETCHED * full.density.sum()

    def _paste_beard(self, edited: EditedCrop, rgb: np.ndarray, growth: Growth, beard: np.ndarray) -> np.ndarray:
        face, (_, silhouette) = edited.prepared, edited.seen()
        edited = replace(edited, after=crisper(edited.before, edited.after, beard, *self._own_hair(edited)))
        grown = self.paste(edited.without(self._shown(edited, "mouth")), rgb, hair=True)
        return single_hairs(grown, face.alignment, growth, beard, silhouette, face.photo.rgb, light=face.light)

    def grow_mustache(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with short hairs above its lip; the edited crop is pasted where no mouth is seen."""
        growth = mustache(self._shown(edited, *BARE), self._shown(edited, "mouth"))
        if growth is None:
            return self.paste(edited, rgb)
        return self._grow(
            edited,
            rgb,
            growth,
            self._hair_colour(edited, beard=True),
            self._free(edited, "Mustache"),
            self._white_hair(edited),
        )

    def _bushier(
        self, edited: EditedCrop, like: np.ndarray | None = None
    ) -> tuple[Reshaping, Growth, np.ndarray] | None:
        """As :meth:`Reshaping.bushier`, and the colour (3,) of the new hair."""
        own, colour = self._shown(edited, "brows"), self._hair_colour(edited)
        bushier = Reshaping.bushier(edited.prepared.crop, own, colour, edited.strength, like)
        return None if bushier is None else (*bushier, colour)

    def _reshape_brows(
        self, edited: EditedCrop, rgb: np.ndarray, shape: Reshaping, growth: Growth, colour: np.ndarray, name: str
    ) -> np.ndarray:
        """The photo with bushier brows where an attribute may change it."""
        free = self._free(edited, name)
        reshaped = reshape_brows(rgb, edited.prepared.alignment, shape, free)
        return self._grow(edited, reshaped, growth, colour, free, self._white_hair(edited))

    def _grow(
        self,
        edited: EditedCrop,
        rgb: np.ndarray,
        growth: Growth,
        colour: np.ndarray,
        share: np.ndarray,
        white: White | None = None,
    ) -> np.ndarray:
        face, (_, silhouette) = edited.prepared, edited.seen()
        # Networks draw a beard whole or not at all.
        growth = growth.thinned(min(1.0, edited.strength))
        return draw_hairs(rgb, face.alignment, growth, colour, share, silhouette, light=face.light, white=white)

    def _white_hair(self, edited: EditedCrop) -> White:
        """The white hair among the photo's own, unless that is dyed in the same edit."""
        crop, hair = self._own_hair(edited)
        dyed = any(edited.asked.get(colour, 0.0) > 0 for colour in MEASURED)
        return White.of(crop, hair * (not dyed), self._shown(edited, "skin"))

    def _hair_colour(self, edited: EditedCrop, *, beard: bool = False) -> np.ndarray:
        """The colour (3,) of new hair in the face."""
        face, (_, hair) = edited.prepared, self._own_hair(edited)
        skin, brows = (self._shown(edited, name) for name in ("skin", "brows"))
        return hair_colour(face.photo.rgb, face.alignment, hair, skin, face.light, brows, beard=beard)

    def _own_hair(self, edited: EditedCrop) -> tuple[np.ndarray, np.ndarray]:
        """The photo's own crop (S, S, 3), and where it shows hair, (S, S) in [0, 1]."""
        return edited.prepared.crop, in_the_crop(edited.seen()[1].hair, len(edited.before))
