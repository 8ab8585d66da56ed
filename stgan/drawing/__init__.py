"""Parts of a face drawn at the photo's resolution: hair, beards, brows, glasses, mouths, skin, bald heads."""
