"""The theme in use and its choice: theme files as they are when asked, a preview while choosing, the choice kept."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from console import preferences, themes
from console.failure import Failure
from console.screens.picker import Choice, PickerDialog
from engine.errors import VmdeckError

if TYPE_CHECKING:
    from console.app import ConsoleApp

_BROKEN = "broken "
"""Before the name of a theme file that can't be used, which no theme's name can begin with."""


class ThemeChoice:
    """Of one app, which it gives its themes."""

    def __init__(self, app: ConsoleApp) -> None:
        self._app = app
        self.found = themes.load()

    def begin(self) -> None:
        """The operator's choice, or what suits the terminal."""
        self._register()
        self._app.theme = self.found.pick(preferences.chosen_theme(), self._app.terminal)

    @property
    def file(self) -> themes.ThemeFile:
        """The one in use."""
        return self.found.files[self._app.theme]

    def default_variables(self) -> dict[str, str]:
        """What style sheets may name whatever the theme."""
        return themes.textual_theme(self.found.files[themes.DEFAULT]).variables

    async def ask(self) -> None:
        """Let the operator choose; each is shown while it is the one in the list's cursor."""
        app, before, asked_on = self._app, self._app.theme, self._app.screen
        self._take(await asyncio.to_thread(themes.load))
        if not asked_on.is_active:
            return  # the operator does something else by now
        broken = {f"{_BROKEN}{each.file}": each for each in self.found.broken}
        choices = [Choice(file.name, file.name, file.about) for file in self.found.files.values()]
        choices += [Choice(key, f"✗ {each.file}", each.reason, role="error") for key, each in broken.items()]

        def preview(name: str) -> None:
            app.theme = name if name in self.found.files else before

        def answered(name: str | None) -> None:
            app.theme = name if name in self.found.files else before
            if name in broken:
                what = f"Theme file {broken[name].file} is not used"
                app.show_failure(Failure(what, broken[name].reason, "Mend it, and come back"))
            elif name is not None:
                self._remember(name)

        app.push_screen(PickerDialog("Theme", choices, at=before, preview=preview), answered)

    def name_broken(self, broken: Iterable[themes.BrokenTheme] | None = None) -> None:
        """Say which files can't be used: without ``broken``, all."""
        for each in self.found.broken if broken is None else broken:
            self._app.tell(f"Theme file {each.file} is not used: {each.reason}", failed=True)

    def use_in_editors(self) -> None:
        """Give editors their colours, in each area: those out of sight come back as they are."""
        from console.widgets.code_editor import CodeEditor

        for screen in self._app.open_screens():
            for editor in screen.query(CodeEditor):
                editor.use_theme(self.file)

    def _register(self) -> None:
        for file in self.found.files.values():
            self._app.register_theme(themes.textual_theme(file))

    def _take(self, found: themes.Themes) -> None:
        """Use theme files as they are now; one that is gone, and in use, stays until another is chosen."""
        news = [each for each in found.broken if each not in self.found.broken]
        in_use = self.file
        found.files.setdefault(in_use.name, in_use)
        self.found = found
        self._register()
        if self.file != in_use:
            self._app.mutate_reactive(type(self._app).theme)
        self.name_broken(news)

    def _remember(self, name: str) -> None:
        try:
            preferences.choose_theme(name)
        except VmdeckError as error:
            self._app.show_failure(error)
