"""An editor of faces: a photo in, an edited photo out, and what was really changed."""
