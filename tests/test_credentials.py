"""Signed content credentials are read back as they were written; skipped where the extra is not installed."""

import datetime
import json

import numpy as np
import pytest
from PIL import Image

from stgan.demo.credentials import Credentials, CredentialsError

c2pa = pytest.importorskip("c2pa", reason="the extra is not installed: pip install -e '.[credentials]'")

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402


def certificate(subject, key, issuer, issuer_key, authority=False) -> bytes:
    def full_name(name):
        parts = {NameOID.ORGANIZATION_NAME: "stgan's tests", NameOID.COMMON_NAME: name}
        return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts.items()])

    today, days = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    usage = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only"), False
    )
    signs = {"digital_signature": not authority, "key_cert_sign": authority, "crl_sign": authority}
    builder = x509.CertificateBuilder(
        full_name(issuer), full_name(subject), key.public_key(), x509.random_serial_number()
    )
    builder = builder.not_valid_before(today - days).not_valid_after(today + days)
    builder = builder.add_extension(x509.BasicConstraints(authority, None), critical=True)
    builder = builder.add_extension(x509.KeyUsage(**usage, **signs, decipher_only=False), critical=True)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    if not authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def pem():
    """A chain of two certificates, and the key of the first."""
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    chain = certificate("demo", key, "authority", authority)
    chain += certificate("authority", authority, "authority", authority, authority=True)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return chain.decode(), key.private_bytes(*form).decode()


@pytest.fixture
def configured(pem, monkeypatch, tmp_path):
    (tmp_path / "key.pem").write_text(pem[1])
    monkeypatch.setenv("STGAN_C2PA_CERT", pem[0])
    monkeypatch.setenv("STGAN_C2PA_KEY", str(tmp_path / "key.pem"))


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_signed_picture_says_what_was_done_and_keeps_its_pixels(tmp_path, suffix):
    path = tmp_path / f"edited{suffix}"
    Image.effect_mandelbrot((90, 60), (-2, -1, 1, 1), 50).convert("RGB").save(path)
    pixels = np.asarray(Image.open(path))
    Credentials.from_environment().sign(path, path, "+Eyeglasses 1.25")
    assert np.array_equal(np.asarray(Image.open(path)), pixels)
    with c2pa.Reader(str(path)) as reader:
        record = json.loads(reader.json())
    assert record["validation_state"] == "Valid"
    (actions,) = record["manifests"][record["active_manifest"]]["assertions"]
    assert actions["data"]["actions"][-1]["description"] == "+Eyeglasses 1.25"
    assert "compositeWithTrainedAlgorithmicMedia" in actions["data"]["actions"][-1]["digitalSourceType"]


@pytest.mark.usefixtures("configured")
def test_a_picture_changed_after_it_was_signed_is_detected(tmp_path):
    path = tmp_path / "edited.png"
    Image.new("RGB", (90, 60), "red").save(path)
    Credentials.from_environment().sign(path, path, "+Young 1")
    data = bytearray(path.read_bytes())
    data[data.rindex(b"IDAT") + 6] ^= 1
    path.write_bytes(data)
    with c2pa.Reader(str(path)) as reader:
        assert json.loads(reader.json())["validation_state"] == "Invalid"


def test_without_a_certificate_nothing_is_signed(monkeypatch):
    for name in ("CERT", "KEY"):
        monkeypatch.delenv(f"STGAN_C2PA_{name}", raising=False)
    assert Credentials.from_environment() is None


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("KEY", "", "both"), ("KEY", "/nowhere.pem", "cannot be read"), ("ALG", "es999", "cannot sign with es999")],
)
def test_a_signer_that_cannot_sign_stops_the_demo_from_starting(monkeypatch, name, value, message):
    monkeypatch.setenv(f"STGAN_C2PA_{name}", value)
    with pytest.raises(CredentialsError, match=message):
        Credentials.from_environment()


@pytest.mark.usefixtures("configured")
def test_the_demo_signs_what_it_gives_out(editor, model_folder, tmp_path, monkeypatch):
    pytest.importorskip("gradio")
    from stgan.demo.page import build_demo

    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    demo = build_demo(editor, str(model_folder), credentials=Credentials.from_environment())
    edit = next(event.fn for event in demo.fns.values() if event.api_name == "edit")
    answer = edit({"path": str(tmp_path / "photo.png")}, {"Young": True}, source={"Young": False}, aligned=True)
    with c2pa.Reader(answer["path"]) as reader:
        assert "+Young 1" in reader.json()
