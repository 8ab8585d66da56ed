"""What an editor's networks make of a prepared face, at the photo's own size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stgan.devices import autocast
from stgan.drawing.ageing import of_another_age
from stgan.drawing.combing import comb, curliness
from stgan.drawing.fringe import Fringe, draw_fringe
from stgan.drawing.glasses import Glasses
from stgan.drawing.glasses import wear as wear_glasses
from stgan.drawing.greying import grey_hair
from stgan.drawing.hair import crispness, in_the_colour, lay_strands, needs_strands, recolour_hair, without_stains
from stgan.drawing.lips import Lips
from stgan.drawing.mouth import Movement, move_lips
from stgan.drawing.rims import Head, beyond
from stgan.drawing.scalp import apart_from_hair, draw_scalp
from stgan.drawing.skin import in_the_hue, toned
from stgan.drawing.tones import BLONDEST, MEASURED, no_more_vivid
from stgan.drawing.unworn import STRENGTH, Bareness, take_off, where_to_draw
from stgan.editing.barber import Barber
from stgan.editing.edits import SHAVEN, condition_parts, in_the_way
from stgan.editing.outcome import COVERED
from stgan.editing.prepared import EditedCrop, PreparedFace
from stgan.models import PARSER_CLASSES, Edit, Generator
from stgan.models.covering import bareheaded, editable_regions, wears_a_hat
from stgan.models.parsed import FaceParts, decode_faces
from stgan.photo.crop import crop_face
from stgan.photo.geometry import smoothstep
from stgan.photo.matte import PERSON, in_the_crop

FEATURES = ("eyes", "mouth", "eyeglasses")  # which stay on a bald head, beside brows
FACE = ("skin", "mouth", "neck")  # what moves with the lips
LIGHTEST = "Blond_Hair"  # of the colours
HALF_DRAWN = (0.3, 0.9)  # of a soft mask, where an edited crop is half the photo and fully drawn
STRANDS = (8.0, 24.0)  # levels: what networks change less on a forehead is no hair, and what they change more is
PASSES = 3  # after which what is left of a beard stays
MOUTH, OPEN = "Mouth_Slightly_Open", 0.95  # probability from which a closed mouth still looks open
LIPS = 0.5  # share of a new skin tone that lips and teeth take
CRISP, EASY = 1.08, 0.8  # contrast of hair, as a share of that of drawn bangs, and stretch, from which it is moved
CURLY = 0.5  # likewise: networks draw straight bangs for everybody
HAIRLINE = 1 / 50  # of the crop's side, within which another age or gender leaves the skin: hair there would be cut off
SEEN, NEAR_BROWS, BESIDE_BROWS = 0.25, (5, 3), 1 / 80  # certainty of the parser, from which ...
SURE = 0.8  # certainty of the parser, from which a pixel tells the colour of skin


class FacePainter(Barber):
    """Decodes the edits of a face and puts them into the photo. :class:`stgan.editing.editor.FaceEditor` is one."""

    frozen: Generator  # the generator as it edits fastest on this device
    dtype: torch.dtype | None

    def age(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with an edited crop of another age or gender.

        The brows of a woman who becomes a man are her own, moved to where the networks draw a man's. Where the edit
        also asks for other brows, they stay as they are.
        """
        man = edited.changes.get("Male", 0.0) > 0
        after = of_another_age(edited.before, edited.after, edited.changes, partial(self._shown, edited))
        if man and edited.mask is not None:
            edited = replace(edited, mask=np.maximum(edited.mask, self._shown(edited, "mouth")))
        edited = replace(edited, after=after).without(self._shown(edited, "hair"), HAIRLINE)
        hair, brows = self._drawn(edited, ["hair"], ["brows"])  # locks over cheeks are not of the photo's colour
        edited = edited.without(hair)
        changed = bool(edited.asked.get("Bushy_Eyebrows"))
        bushier = self._bushier(edited, like=brows) if man and not changed else None
        if bushier is None and not changed:
            return self.paste(edited, rgb)
        own = np.maximum(brows, self._shown(edited, "brows"))
        bare = edited.without(cv2.dilate((own > SEEN).astype(np.float32), np.ones(NEAR_BROWS)), BESIDE_BROWS)
        pasted = self.paste(bare, rgb)
        return pasted if bushier is None else self._reshape_brows(edited, pasted, *bushier, "Male")

    def age_with_hair(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """As :meth:`age`; the hair of a face that becomes older goes grey."""
        rgb, older = self.age(edited, rgb), -edited.changes.get("Young", 0.0)
        if older <= 0:
            return rgb
        face, (_, silhouette) = edited.prepared, edited.seen()
        skin = edited.in_the_window("skin")
        return grey_hair(rgb, face.alignment, len(edited.before), silhouette, skin, older, light=face.light)

    def tone_skin(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with its skin in the tone of an edited crop. Ears and neck take it too, and lips in part."""
        taken = self._shown(edited, "skin", "neck", "brows") + LIPS * self._shown(edited, "mouth")
        share = cv2.GaussianBlur(taken.clip(0, 1), (0, 0), len(taken) / 128)
        tone = toned(edited.before, edited.after, self._shown(edited, "skin"), share)
        return self.paste(replace(edited, after=tone, mask=share), rgb)

    def recolour(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with its hair in the colour of an edited crop."""
        face, (_, silhouette) = edited.prepared, edited.seen()
        colour, share = max(edited.changes.items(), key=lambda change: change[1])  # the new one; others are taken away
        now = silhouette
        if rgb is not face.photo.rgb:  # the other edits may have added hair, or removed it
            view = self._view(rgb, face.alignment, face.light)
            view = view if wears_a_hat(view) else bareheaded(view)
            now = silhouette.with_view(view[0].cpu().numpy())
        drawn, tones = None, MEASURED.get(colour) if share > 0 else None
        blond = colour == LIGHTEST and share > 0
        own, own_skin = (self._shown(edited, name) for name in ("hair", "skin"))
        if tones is not None and blond and (own_skin > SURE).any():
            tones = tones.lit(np.median(edited.before[own_skin > SURE], axis=0)).weakened(edited.before, own, share)
        strands = share > 0 and needs_strands(
            edited.before, edited.after, own, own_skin, blond=blond, detailed=edited.is_detailed
        )
        if blond or strands:
            hair, skin, person = self._drawn(edited, ["hair"], ["skin"], PERSON)
            if blond:  # grey hair is drawn yellow
                after = no_more_vivid(edited.after, hair, BLONDEST)
                edited = replace(edited, after=after if tones is None else tones.hued(after, hair))
            if strands and edited.mask is not None:
                bare = own_skin * skin  # before and after: it keeps its shade
                drawn = smoothstep(edited.mask, *HALF_DRAWN) * person * (1 - bare)
        dyed = recolour_hair(
            rgb, face.alignment, edited.before, edited.after, edited.mask, silhouette, now, light=face.light,
            tones=tones if drawn is None else None, share=min(1.0, 2 * share),
            thin=min(1.0, 2 * share) if blond else 0.0,
        )  # fmt: skip
        if drawn is None:  # the photo's own look best
            return dyed
        laid = lay_strands(dyed, face.alignment, edited.after, drawn, silhouette, light=face.light)
        return comb(laid, face.alignment, edited.after, drawn, own, silhouette, before=rgb, light=face.light)

    def draw_bangs(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with the bangs of an edited crop, in the colour of its hair.

        It is the photo's own hair, as far over the forehead as those bangs reach, where the photo is fine, or where
        its hair is curly and need not be stretched far. The photo stays as it is where no hair is over the forehead,
        or a hat.
        """
        face, (_, silhouette) = edited.prepared, edited.seen()
        size = len(edited.before)
        hair = in_the_crop(silhouette.hair, size)
        fringe = Fringe.read(edited.before, edited.after, hair)
        if fringe is None:
            return rgb
        if not edited.is_fine:
            (drawn,) = self._drawn(edited, ["hair"])
            pasted = self._alike_bangs(edited, rgb, hair, drawn * (1 - hair), fringe)
            if pasted is not None:
                strands = drawn * in_the_crop(silhouette.person, size)
                if pasted.mask is not None:
                    strands = strands * smoothstep(pasted.mask, *HALF_DRAWN)
                rgb = self.paste(pasted, rgb)
                return comb(rgb, face.alignment, pasted.after, strands, hair, silhouette, light=face.light)
        return draw_fringe(rgb, face.alignment, fringe, self._free(edited, "Bangs"), silhouette)

    def _alike_bangs(
        self, edited: EditedCrop, rgb: np.ndarray, hair: np.ndarray, new: np.ndarray, fringe: Fringe
    ) -> EditedCrop | None:
        """The edited crop with bangs in the colour of the photo's hair; None where this hair itself looks better."""
        face, size = edited.prepared, len(edited.before)
        now = face.light.crop(crop_face(rgb, face.alignment, size)).astype(np.float32)  # perhaps in a new colour
        near = hair * (cv2.GaussianBlur(new, (0, 0), size / 10) > 0.1)
        crisp = crispness(now, near) > CRISP * crispness(edited.after, new)
        if fringe.stretch < EASY and crisp and curliness(now, near) > CURLY:
            return None
        alike = in_the_colour(edited.after, now, new, hair)
        if alike is None:
            return None
        alike = without_stains(alike, now, new, hair)
        return replace(edited, after=alike).without(self._shown(edited, "eyes"))

    def shave_beard(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo without a beard, as an edited crop shows it. Where a part is left, it goes in another pass."""
        shaved = self.paste(edited, rgb)
        if edited.strength < 1 or edited.changes.get("No_Beard", 0.0) <= 0:
            return shaved
        for _ in range(PASSES - 1):
            if self._looks(edited.prepared, shaved, "No_Beard") >= SHAVEN:
                break
            shaved = self.paste(self._drawn_edit(self._encoded_again(edited.prepared, shaved), edited.changes), shaved)
        return shaved

    def shave(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with a bald head, drawn at its resolution.

        The photo stays as it is where a hat is worn, or hair hides what a bald head would show.
        """
        face, (_, silhouette) = edited.prepared, edited.seen()
        if face.covered.get("Bald", 0) > COVERED:
            return rgb
        skin, features, brows = (edited.in_the_window(*names) for names in (["skin"], FEATURES, ["brows"]))
        features = features + apart_from_hair(brows, silhouette.hair)
        bare = self._bare_forehead(edited, rgb)
        return draw_scalp(
            bare, face.alignment, len(edited.before), silhouette, skin, features, edited.changes["Bald"],
            into=None if bare is rgb else bare,
        )  # fmt: skip

    def _bare_forehead(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo without bangs, as the networks draw it: single strands and their shade are no hair to a parser."""
        if "Bangs" not in self.names:
            return rgb
        face = edited.prepared
        bare = self._drawn_edit(face, {"Bangs": -1.0})
        change = cv2.GaussianBlur(np.abs(bare.after - bare.before).max(axis=2), (0, 0), len(bare.after) / 64)
        kept = np.maximum(1 - smoothstep(change, *STRANDS), self._shown(edited, "eyes"))  # no other skin tones
        if not face.label_dict().get("Bangs"):  # else strands may hang over the brows
            darker = cv2.GaussianBlur((bare.before - bare.after).mean(axis=2), (0, 0), len(bare.after) / 128)
            lines = smoothstep(darker, *STRANDS) * self._shown(edited, "skin")  # such as brows in another place
            kept = np.maximum(kept, np.maximum(lines, self._shown(edited, "brows")))
        return self.paste(bare.without(kept), rgb)

    def clear_forehead(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo without its bangs, as an edited crop shows it, with a forehead in the hue of the face."""
        new = self._drawn(edited, ["skin"])[0] * self._shown(edited, "hair")
        after = in_the_hue(edited.after, edited.before, cv2.GaussianBlur(new, (0, 0), 1), self._shown(edited, "skin"))
        return self.paste(replace(edited, after=after), rgb)

    def wear(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with the eyeglasses of an edited crop, redrawn at its resolution.

        The edited crop itself is pasted where it shows no new frame, or the face wears glasses already. The photo stays
        as it is where the head is turned too far.
        """
        face, (_, silhouette) = edited.prepared, edited.seen()
        if face.covered.get("Eyeglasses") == 1:
            return rgb
        glasses = None if face.wears_glasses else Glasses.read(edited.before, edited.after, self._head(edited))
        if glasses is None:
            return self.paste(edited, rgb)
        wall = beyond(in_the_crop(silhouette.person, len(edited.before)), self._head(edited))
        free = np.maximum(self._free(edited, "Eyeglasses"), wall * self._shown(edited, "background"))
        return wear_glasses(rgb, face.alignment, glasses, free, silhouette, light=face.light)

    def take_off(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo without the eyeglasses that are seen in it, else with the edited crop pasted.

        It stays as it is where the head is turned too far.
        """
        face, (parts, _) = edited.prepared, edited.seen()
        if face.covered.get("Eyeglasses") == 1:
            return rgb
        seen = {name: self._shown(edited, name) for name in PARSER_CLASSES}
        where = where_to_draw(seen)
        if not face.wears_glasses or not where.any():
            return self.paste(edited, rgb)
        regions = torch.from_numpy(where).to(parts.regions).expand_as(parts.regions)
        drawn = self._drawn_edit(replace(face, parts=parts._replace(regions=regions)), {"Eyeglasses": -STRENGTH})
        bare = Bareness.read(face.crop.astype(np.float32), drawn.after, drawn.mask, seen, self._head(edited))
        return take_off(rgb, face.alignment, bare, light=face.light, strength=min(1.0, edited.strength))

    def _head(self, edited: EditedCrop) -> Head:
        people = edited.prepared.people
        return Head.of(self._shown(edited, "eyes"), people[0].landmarks if people else None)

    def open_mouth(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with its lips moved apart; the edited crop is pasted where they are so already."""
        return self._move_lips(edited, rgb, Movement.opening)

    def close_mouth(self, edited: EditedCrop, rgb: np.ndarray) -> np.ndarray:
        """The photo with its lips brought together.

        The edited crop is pasted where no gap is found, or where the mouth would still look open when they meet.
        """
        moved = self._move_lips(edited, rgb, Movement.closing)
        whole = replace(edited, changes={MOUTH: -max(1.0, edited.strength)})
        closed = moved if edited.strength >= 1 else self._move_lips(whole, rgb, Movement.closing)
        still_open = self._looks(edited.prepared, closed, MOUTH)
        if still_open < OPEN:
            return moved
        pasted = self.paste(edited, rgb)
        return pasted if self._looks(edited.prepared, pasted, MOUTH) < still_open else moved

    def _looks(self, face: PreparedFace, rgb: np.ndarray, name: str) -> float:
        """How likely a face has an attribute in a photo uint8 (H, W, 3)."""
        crop = face.light.crop(crop_face(rgb, face.alignment, self.generator.image_size))
        return float(self._probabilities(crop)[self.names.index(name)])

    def _move_lips(
        self, edited: EditedCrop, rgb: np.ndarray, way: Callable[[Lips, float], Movement | None]
    ) -> np.ndarray:
        face, mouth, size = edited.prepared, self._shown(edited, "mouth"), len(edited.before)
        # Other edits leave lips where they are, but may hide them: they are looked for in the photo as it was.
        darker = (edited.before - edited.after).mean(axis=2)
        lips = Lips.find(face.photo.rgb, face.alignment, mouth, face.light, darker)
        movement = None if lips is None else way(lips, edited.strength)
        if movement is None:
            return self.paste(edited, rgb)
        share = self._shown(edited, *FACE) * in_the_crop(edited.seen()[1].own, size)
        return move_lips(rgb, face.alignment, movement, cv2.blur(share, (3, 3)), light=face.light)

    def _pixels(self, prepared: PreparedFace, condition: Tensor, differs: Sequence[Sequence[bool]]) -> list[np.ndarray]:
        """The photo, uint8 (H, W, 3), after each of K edits, which change the attributes that differ."""
        first = in_the_way(prepared, condition)
        photos = self._painted(prepared, condition, [() if row in first else each for row, each in enumerate(differs)])
        for row, change in first.items():
            bare = self._encoded_again(prepared, self._painted(prepared, change[None], [[True]])[0])
            rest = condition[row] * (change * condition[row] <= 0)
            photos[row] = self._painted(bare, rest[None], [differs[row]])[0]
        return photos

    @torch.inference_mode()
    def _encoded_again(self, prepared: PreparedFace, rgb: np.ndarray) -> PreparedFace:
        """The face after an edit that takes away at most glasses or a beard, so that another edit starts from it."""
        crop = prepared.light.crop(crop_face(rgb, prepared.alignment, self.generator.image_size))
        with autocast(self.device, self.dtype):
            features = self.frozen.encode(self._image(crop))
            same = torch.zeros(1, len(self.names), device=self.device)
            reconstruction = self.frozen.decode(features, same)[0].float()
        photo, parts = replace(prepared.photo, rgb=rgb), prepared.parts
        if parts is not None and prepared.silhouette is not None:
            view = self._view(rgb, prepared.alignment, prepared.light)
            classes = F.interpolate(view, size=parts.classes.shape[-2:], mode="bilinear", antialias=True)
            own = torch.from_numpy(in_the_crop(prepared.silhouette.own, len(crop))).to(classes)
            parts = FaceParts(classes, torch.maximum(parts.regions, editable_regions(classes, self.names) * own))
        return replace(
            prepared, photo=photo, crop=crop, features=features, reconstruction=reconstruction, parts=parts
        )  # fmt: skip

    def _painted(
        self, prepared: PreparedFace, condition: Tensor, differs: Sequence[Sequence[bool]]
    ) -> list[np.ndarray]:
        """As :meth:`_pixels`, with all changes from one encoding."""
        photos = [prepared.photo.rgb] * len(condition)
        for change, put in self._steps(prepared, condition):
            rows = [row for row, differ in enumerate(differs) if any(differ) and (change[row] != 0).any()]
            if not rows:
                continue
            for row, edited in zip(rows, self._edited_crops(prepared, change[rows]), strict=True):
                asked = {name: value for name, value in zip(self.names, condition[row].tolist(), strict=True) if value}
                photos[row] = put(replace(edited, asked=asked), photos[row])
        return photos

    def _steps(
        self, prepared: PreparedFace, condition: Tensor
    ) -> list[tuple[Tensor, Callable[[EditedCrop, np.ndarray], np.ndarray]]]:
        """Parts of a condition (K, A), which add up to it, in the order in which they change the photo, and how.

        Beards cover skin of any tone, a fringe is drawn from hair of the new colour, and glasses come last.
        """
        if prepared.silhouette is None:
            return [(condition, self.paste)]

        ways = {
            "bare eyes": self.take_off, "tone": self.tone_skin, "dyed age": self.age, "age": self.age_with_hair,
            "rest": self.paste,
            "bare forehead": self.clear_forehead, "bald": self.shave, "beard": self.grow_beard,
            "shaven": self.shave_beard, "mustache": self.grow_mustache, "bushier": self.draw_brows,
            "thinner": self.thin_brows, "opened": self.open_mouth, "closed": self.close_mouth,
            "colour": self.recolour, "bangs": self.draw_bangs, "glasses": self.wear,
        }  # fmt: skip
        parts = condition_parts(condition, self.names)
        return [(parts[name], way) for name, way in ways.items()]

    def _drawn_edit(self, prepared: PreparedFace, changes: Mapping[str, float]) -> EditedCrop:
        """An edit as the networks draw it. ``changes``: by attribute, 1 adds it, -1 takes it away."""
        condition = torch.tensor([[changes.get(name, 0.0) for name in self.names]], device=self.device)
        return self._edited_crops(prepared, condition)[0]

    def _edited_crops(self, prepared: PreparedFace, condition: Tensor) -> list[EditedCrop]:
        """The edits (K, A) as the networks draw them."""
        decoded, region = self._decode(prepared, condition), None
        if decoded.mask is None and self.generator.regions is not None:
            region = self.generator.region(condition, prepared.parts and prepared.parts.regions)
        crops = []
        for index, values in enumerate(condition.tolist()):
            mask, kept_to = (None if each is None else each[index, 0] for each in (decoded.mask, region))
            changes = {name: value for name, value in zip(self.names, values, strict=True) if value}
            crops.append(EditedCrop.of(prepared, decoded.image[index], mask, kept_to, changes))
        return crops

    @torch.inference_mode()
    def _decode(self, prepared: PreparedFace, condition: Tensor) -> Edit:
        with autocast(self.device, self.dtype):
            edited = decode_faces(
                self.frozen, prepared.features, condition, prepared.parts, prepared.reconstruction[None]
            )
        return Edit(edited.image.float(), edited.rgb.float(), None if edited.mask is None else edited.mask.float())
