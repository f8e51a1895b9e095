"""A package is asked for by name and version: nothing else reaches apt, pip or npm."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from engine.errors import NotReadyError
from engine.languages.catalogue import Catalogue
from engine.models import BuildLanguageRequest

NEVER = ["", "-r", "--index-url=x", "a b", "x;reboot", "$(reboot)", "../x", "/etc/passwd", "x\ny", "file:x", "a" * 400]
FILES = ["evil-1.0-py3-none-any.whl", "x.zip", "x-1.tar.gz", "x.TGZ"]
NO_WHEELS = [*NEVER, "git+ssh:x", "x@1", "x @ file:///y", "x==", "x;python_version<'3'", "./x", "x.whl/", *FILES]
NO_NPM = [*NEVER, "a/b", "./a", "a@file:b", "a@github:b/c", "@scope", "@/x", "A", "a@", "a@-g", "_x", ".x"]


@pytest.mark.parametrize(
    "name", ["numpy", "numpy==2.1", "a-b_c.d", "x[extra,more]>=1,<2", "ziglang==0.13.0.post1", "x~=1.4"]
)
def test_wheels_go_by_name_extras_and_versions(name: str) -> None:
    assert BuildLanguageRequest(language="x", pypi=(name,)).pypi == (name,)


@pytest.mark.parametrize("name", NO_WHEELS)
def test_what_is_no_wheel_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        BuildLanguageRequest(language="x", pypi=(name,))


@pytest.mark.parametrize("name", ["typescript", "typescript@5", "@vue/x-sfc@^3.4", "a.b-c_d", "x@latest", "x@~1.2"])
def test_npm_packages_go_by_name_scope_and_version(name: str) -> None:
    assert BuildLanguageRequest(language="x", npm=(name,)).npm == (name,)


@pytest.mark.parametrize("name", NO_NPM)
def test_what_is_no_npm_package_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        BuildLanguageRequest(language="x", npm=(name,))


@pytest.mark.parametrize("line", ['pypi = ["-r/etc/passwd"]', 'npm = ["a@file:/etc"]', 'debian.packages = ["-o"]'])
def test_a_catalogue_of_ones_own_is_held_to_the_same(line: str, tmp_path) -> None:
    own = tmp_path / "languages.toml"
    own.write_text(f'[x]\ntitle = "X"\nfile = "x"\nrun = ["x"]\nhello = ""\nexpect = ""\n{line}\n')
    with pytest.raises(NotReadyError, match=r"languages\.toml"):
        Catalogue.load(own)


@pytest.mark.parametrize("kind", ["packages", "pypi", "npm", "languages"])
def test_no_request_has_more_names_than_a_command_takes(kind: str) -> None:
    with pytest.raises(ValidationError, match="256"):
        BuildLanguageRequest.model_validate({"language": "x", kind: ["abc"] * 257})
