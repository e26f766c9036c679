"""What goes into an image, by either way of building it."""

import io
import tarfile
from dataclasses import replace

from sandbox.images.build import PASSWD, _slim, dockerfile
from sandbox.images.recipes import GUEST, RECIPES, image_tag


def test_every_language_has_its_own_image_and_every_image_the_guest_s_interpreter() -> None:
    tags = {image_tag(language) for language in RECIPES}
    assert len(tags) == len(RECIPES) and all(tag.startswith("atlas-sandbox:") for tag in tags)
    for recipe in RECIPES.values():
        assert set(GUEST.packages) <= set(recipe.packages) and set(GUEST.keep) <= set(recipe.keep)


def test_a_changed_recipe_is_another_image() -> None:
    assert GUEST.tag("python") == replace(GUEST).tag("python")
    assert GUEST.tag("python") != replace(GUEST, packages=(*GUEST.packages, "vim")).tag("python")
    assert GUEST.tag("python") != GUEST.tag("bash")


def test_the_dockerfile_has_one_instruction_a_line_and_ends_in_an_empty_stage() -> None:
    text = dockerfile(GUEST, "debian:bookworm-slim")
    lines = text.splitlines()
    assert lines[0] == "FROM debian:bookworm-slim AS root"
    assert {line.split()[0] for line in lines} == {"FROM", "RUN", "COPY"}
    assert lines[-2:] == ["FROM scratch", "COPY --from=root /new/ /"]
    assert "chmod a-s" in text and "mkdir -m 1777 /new/box" in text and "ln -s box /new/tmp" in text


def test_only_what_the_recipe_keeps_is_kept_and_nothing_is_setuid() -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as tar:
        for name, mode in [
            ("./usr/bin/python3.11", 0o4755),
            ("./usr/bin/perl", 0o755),
            ("./usr/lib/python3.11/json/__init__.py", 0o644),
            ("./usr/lib/python3.11/test/evil.py", 0o644),
            ("./etc/shadow", 0o600),
            ("./lib/x86_64-linux-gnu/libc.so.6", 0o755),
        ]:
            member = tarfile.TarInfo(name)
            member.mode, member.size = mode, 1
            tar.addfile(member, io.BytesIO(b"x"))
        device = tarfile.TarInfo("./lib/zero")
        device.type = tarfile.CHRTYPE
        tar.addfile(device)
    whole.seek(0)
    with tarfile.open(fileobj=whole) as tar:
        found = {member.name: (member, content and content.read()) for member, content in _slim(tar, GUEST)}
    assert set(found) == {
        "usr/bin/python3.11", "usr/lib/python3.11/json/__init__.py", "lib/x86_64-linux-gnu/libc.so.6",
        "box", "etc", "proc", "sys", "dev", "tmp", "etc/passwd",
    }  # fmt: skip
    assert all(not member.mode & 0o6000 for member, _content in found.values())
    assert found["box"][0].mode == 0o1777 and found["tmp"][0].linkname == "box"
    assert found["etc/passwd"][1] == PASSWD.encode()
