"""What every console test needs: no preferences of the person who runs it, no colours of their terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytest_textual_snapshot

# The plugin names the extension as an older syrupy wanted it; without this, pictures are called .raw.
pytest_textual_snapshot.SVGImageExtension.file_extension = "svg"


@pytest.fixture(autouse=True)
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The config folder, empty and writable."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("VMDECK_CONFIG_DIR", str(folder))
    monkeypatch.delenv("NO_COLOR", raising=False)
    return folder
