"""How good an editor is, and pictures of what it does."""
