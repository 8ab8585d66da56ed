"""Content credentials (C2PA): a signed record, inside of a picture, of how it was made."""

import io
import os
from dataclasses import dataclass, field
from pathlib import Path

from stgan.photo.provenance import PARTLY_BY_MODEL

MEDIA_TYPES = {".jpg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


class CredentialsError(ValueError):
    """The configured certificate or key cannot sign; the message says what to do."""


@dataclass(frozen=True)
class Credentials:
    """The signer: a chain of certificates and the key of the first one, both in PEM."""

    chain: bytes
    key: bytes = field(repr=False)
    algorithm: str = "es256"  # or es384, es512, ps256, ps384, ps512, ed25519; it must fit the key

    @classmethod
    def from_environment(cls) -> "Credentials | None":
        """The signer of ``STGAN_C2PA_CERT`` and ``STGAN_C2PA_KEY`` (files, or the PEM text) and ``STGAN_C2PA_ALG``.

        None if no certificate is configured. A CredentialsError says what is missing or cannot sign.
        """
        certificate, key = (os.environ.get(f"STGAN_C2PA_{name}", "").strip() for name in ("CERT", "KEY"))
        if not certificate and not key:
            return None
        if not certificate or not key:
            raise CredentialsError(
                "Content credentials need both STGAN_C2PA_CERT and STGAN_C2PA_KEY: set the other one."
            )
        credentials = cls(_pem(certificate), _pem(key), os.environ.get("STGAN_C2PA_ALG", "es256"))
        credentials._signer().close()
        return credentials

    @staticmethod
    def can_sign(path: str | Path) -> bool:
        """Whether files of this kind can carry a record: JPEG, PNG and WebP."""
        return Path(path).suffix in MEDIA_TYPES

    def sign(self, source: str | Path, target: str | Path, note: str) -> None:
        """Write a picture with a signed record that a model made part of it. No network is used.

        Both files end in the same of .jpg, .png and .webp, and may be one. ``note`` says what was edited.
        """
        import c2pa

        actions = [
            {"action": "c2pa.created", "digitalSourceType": PARTLY_BY_MODEL},  # not the original photo: it is private
            {"action": "c2pa.edited", "digitalSourceType": PARTLY_BY_MODEL, "description": note},
        ]
        manifest = {
            "claim_generator_info": [{"name": "stgan"}],
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
        }
        context = c2pa.Context.from_dict({"builder": {"thumbnail": {"enabled": False}}})
        picture = io.BytesIO(Path(source).read_bytes())
        with c2pa.Builder(manifest, context=context) as builder, self._signer() as signer, open(target, "w+b") as file:
            builder.sign(signer, MEDIA_TYPES[Path(source).suffix], picture, file)

    def _signer(self):
        try:
            import c2pa
        except ImportError as error:
            raise CredentialsError("Content credentials need the extra: pip install -e '.[credentials]'.") from error
        try:
            return c2pa.Signer.from_info(c2pa.C2paSignerInfo(self.algorithm, self.chain, self.key, None))
        except (c2pa.C2paError, ValueError) as error:
            raise CredentialsError(
                f"STGAN_C2PA_CERT and STGAN_C2PA_KEY cannot sign with {self.algorithm}: {error}"
            ) from error


def _pem(value: str) -> bytes:
    if value.startswith("-----BEGIN"):
        return value.encode()
    try:
        return Path(value).read_bytes()
    except OSError as error:
        raise CredentialsError(f"{value} cannot be read: name a PEM file, or give its text.") from error
