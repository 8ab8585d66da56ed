"""The page's words in German; English is the key, and what has no translation stays English.

The frontend translates the components by :data:`I18N`, in the browser's language. What the server draws (pictures with
captions, messages) is translated by :class:`Language`, in the language that the same browser asks for.
"""

from dataclasses import dataclass

import gradio as gr

GERMAN = {
    "# Edit a face": "# Ein Gesicht verändern",
    "Change hair, glasses, beard or age in your photo. Everything else stays, at full size.": (
        "Verändern Sie Haar, Brille, Bart oder Alter auf Ihrem Foto. Alles andere bleibt, in voller Auflösung."
    ),
    "Choose a photo, or drop it here": "Foto auswählen oder hierher ziehen",
    "Open a photo": "Foto öffnen",
    "Open the example": "Beispiel öffnen",
    "Show the whole photo": "Das ganze Foto zeigen",
    "Versions": "Versionen",
    "Versions: click one to return to it.": "Versionen: Ein Klick führt zurück.",
    "People: choose whom to edit. Their edits add up.": "Personen: Wen verändern? Die Änderungen addieren sich.",
    "Download the edited photo": "Verändertes Foto herunterladen",
    "File": "Datei",
    "Edit": "Verändern",
    "Every change": "Jede Änderung",
    "Share": "Teilen",
    "More": "Mehr",
    "Looks: several edits with one click.": "Looks: mehrere Änderungen mit einem Klick.",
    "Surprise me": "Überrasch mich",
    "Undo all edits": "Alle Änderungen verwerfen",
    "From less on the left to more on the right. 0: as it is, 1: normal, 1.5: strong (may look unnatural).": (
        "Links weniger, rechts mehr. 0: wie es ist, 1: normal, 1,5: stark (kann unnatürlich aussehen)."
    ),
    "Each picture changes one thing. Click one to apply the change, and again to undo it.": (
        "Jedes Bild ändert eine Sache. Ein Klick übernimmt die Änderung, ein zweiter nimmt sie zurück."
    ),
    "Compare strengths": "Stärken vergleichen",
    "Attribute": "Merkmal",
    "Show": "Zeigen",
    "What the model sees": "Was das Modell sieht",
    "A picture or a clip to send, with what was changed.": "Ein Bild oder Clip zum Verschicken, mit der Änderung.",
    "Before and after": "Vorher und nachher",
    "Grid of versions": "Raster der Versionen",
    "Animation (WebP)": "Animation (WebP)",
    "Animation (GIF)": "Animation (GIF)",
    "Video (MP4)": "Video (MP4)",
    "To share": "Zum Teilen",
    "Download the file": "Datei herunterladen",
    "Link to this edit (without the photo)": "Link zu dieser Änderung (ohne das Foto)",
    "Several photos": "Mehrere Fotos",
    "Up to 20 photos get the edit that is on the page, on the largest face of each.": (
        "Bis zu 20 Fotos erhalten die aktuelle Änderung, jeweils beim größten Gesicht."
    ),
    "Photos": "Fotos",
    "Edit them all": "Alle verändern",
    "Edited photos (ZIP)": "Veränderte Fotos (ZIP)",
    "In code": "Als Code",
    "Advanced": "Erweitert",
    "Skip face detection (the photo is already a tight face crop)": (
        "Gesichtserkennung überspringen (das Foto ist schon eng auf das Gesicht zugeschnitten)"
    ),
    "About": "Über diese Seite",
    (
        "**Please edit only people who agree to it.** Photos are processed on this server and deleted after about an "
        "hour."
    ): (
        "**Bitte verändern Sie nur Menschen, die zustimmen.** Fotos werden auf diesem Server verarbeitet und nach etwa "
        "einer Stunde gelöscht."
    ),
    # drawn by the server
    "Original": "Original",
    "Photo": "Foto",
    "Before": "Vorher",
    "After": "Nachher",
    "Before and after: position of the divider": "Vorher und nachher: Position der Trennlinie",
    "photo with: {words}": "Foto mit: {words}",
    "photo without edits": "Foto ohne Änderung",
    "Another strength": "Andere Stärke",
    "Everyone": "Alle",
    "Person {number}": "Person {number}",
    "Full screen": "Vollbild",
    "Movie star": "Filmstar",
    "Grandparent": "Großeltern",
    "Rock star": "Rockstar",
    "Professor": "Professur",
    "New style": "Neuer Stil",
    "Swept back": "Zurückgekämmt",
    "Chestnut hair": "Kastanienbraun",
    "{one} gives way: it cannot be combined with your choice.": "{one} entfällt: Das passt nicht zu Ihrer Wahl.",
    "This photo cannot be edited": "Dieses Foto kann nicht verändert werden",
    "This did not work": "Das hat nicht geklappt",
    "Nothing is changed yet: pick a look or move a slider first.": (
        "Noch ist nichts verändert: Wählen Sie zuerst einen Look oder bewegen Sie einen Regler."
    ),
    "Only the {number} largest faces are edited together.": (
        "Zusammen werden nur die {number} größten Gesichter verändert."
    ),
    "Choose photos first.": "Wählen Sie zuerst Fotos aus.",
    "Only the first {number} photos are edited.": "Nur die ersten {number} Fotos werden verändert.",
    "No photo could be edited.": "Kein Foto konnte verändert werden.",
    "{number} photos could not be edited; problems.txt in the ZIP says why.": (
        "{number} Fotos konnten nicht verändert werden; problems.txt im ZIP nennt den Grund."
    ),
    "The link asks for {name}, which this model cannot edit.": (
        "Der Link nennt {name}; dieses Modell kann das nicht verändern."
    ),
    # attributes: scales, then changes
    "Bald": "Glatze", "Bangs": "Pony", "Black hair": "Schwarzes Haar", "Blond hair": "Blondes Haar",
    "Brown hair": "Braunes Haar", "Bushy eyebrows": "Buschige Augenbrauen", "Eyeglasses": "Brille",
    "Feminine – masculine": "Weiblich – männlich", "Mouth open": "Mund offen", "Mustache": "Schnurrbart",
    "Beard": "Bart", "Darker – paler skin": "Dunklere – hellere Haut", "Older – younger": "Älter – jünger",
    "No bald": "Mehr Haar", "No bangs": "Kein Pony", "No black hair": "Kein schwarzes Haar",
    "No blond hair": "Kein blondes Haar", "No brown hair": "Kein braunes Haar",
    "No bushy eyebrows": "Dünnere Augenbrauen", "No eyeglasses": "Keine Brille", "More masculine": "Männlicher",
    "More feminine": "Weiblicher", "Mouth closed": "Mund geschlossen", "No mustache": "Kein Schnurrbart",
    "No beard": "Kein Bart", "Paler skin": "Hellere Haut", "Darker skin": "Dunklere Haut", "Younger": "Jünger",
    "Older": "Älter", "Pale skin": "Blasse Haut", "Young": "Jung",
}  # fmt: skip

I18N = gr.I18n(en={text: text for text in GERMAN}, de=GERMAN)


@dataclass(frozen=True)
class Language:
    """Translates what the server draws."""

    code: str = "en"

    @classmethod
    def of(cls, request: gr.Request | None) -> "Language":
        """The language that the browser prefers."""
        wanted = (request.headers.get("accept-language") or "") if request is not None else ""
        return cls("de" if wanted.lower().startswith("de") else "en")

    def __call__(self, text: str, **values: object) -> str:
        """The text in this language, with its {placeholders} filled in."""
        translated = GERMAN.get(text, text) if self.code == "de" else text
        return translated.format(**values) if values else translated
