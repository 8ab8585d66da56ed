"""The demo: what a visit holds, the page and its endpoints."""
