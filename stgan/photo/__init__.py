"""Photographs: files in and out, faces found, brought into CelebA's frame, cropped, and edits put back at full size."""
