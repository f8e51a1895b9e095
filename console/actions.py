"""Every action of the console, as data: key bindings, help, palette, action bar and read-only mode all read this.

An action ``kill`` is carried out by the method ``action_kill`` of the screen (or, for EVERYWHERE, of the app). Keys
that tmux, screen and plain SSH clients eat or re-encode (ctrl+a, b, h, i, j, m, alt, shift+F) are not used.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType

from console.modes import MODES

EVERYWHERE = "everywhere"
VM = "vm"
LISTS = "lists"
SORTING = "sorting"
MARKS = "marks"
OUTPUT = "output"
DIALOGS = "dialogs"

_KEY_NAMES = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "asterisk": "*",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that the operator can do.

    ``keys`` is a comma list, main key first. ``where`` is a mode, or one of the places named above. ``changes`` marks
    what read-only mode refuses. ``rank`` orders the action bar, 0 stays out of it.
    """

    name: str
    keys: str
    title: str
    about: str
    where: str
    changes: bool = False
    rank: int = 0
    argument: str = ""

    @property
    def call(self) -> str:
        return f"{self.name}({self.argument!r})" if self.argument else self.name

    @property
    def key(self) -> str:
        """The main key as the operator knows it: ``^r``, ``?``, ``esc``."""
        return shown_key(self.keys.split(",")[0])

    @property
    def key_while_typing(self) -> str | None:
        """The first key that a text field does not take for itself."""
        return next((shown_key(key) for key in self.keys.split(",") if _passes_fields(key)), None)

    @property
    def all_keys(self) -> str:
        return " ".join(shown_key(key) for key in self.keys.split(","))


def shown_key(key: str) -> str:
    return f"^{key[5:]}" if key.startswith("ctrl+") else _KEY_NAMES.get(key, key)


def _passes_fields(key: str) -> bool:
    return key.startswith("ctrl+") or key == "escape" or (key[0] == "f" and key[1:].isdigit())


ACTIONS: tuple[Action, ...] = (
    *(
        Action("show_mode", str(digit), mode.title, mode.about, EVERYWHERE, argument=mode.name)
        for digit, mode in enumerate(MODES, 1)
    ),
    Action("next_mode", "f3", "Next", "Go to the next area, also while a field has the keys", EVERYWHERE),
    Action("previous_mode", "f2", "Previous", "Go to the area before, also while a field has the keys", EVERYWHERE),
    Action("palette", "ctrl+p,colon", "Palette", "Find any action by its name", EVERYWHERE, rank=80),
    Action("help", "question_mark,f1", "Help", "List the keys of this screen", EVERYWHERE, rank=90),
    Action("choose_theme", "T", "Theme", "Choose colours, with a live preview", EVERYWHERE),
    Action("toggle_mouse", "m", "Mouse", "Give the mouse to the console or back to the terminal", EVERYWHERE),
    Action("redraw", "ctrl+l", "Redraw", "Paint the whole screen again", EVERYWHERE),
    Action("open_engine", "R", "Reopen", "Open the engine again after it failed to open", EVERYWHERE),
    Action("quit", "q,ctrl+q", "Quit", "Leave the console", EVERYWHERE, rank=95),
    # --- overview
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "overview", rank=30),
    Action("detail", "enter", "Detail", "Reason and remedy of the check", "overview", rank=10),
    Action("fix", "f", "Fix", "Let setup mend what the check found", "overview", changes=True, rank=15),
    Action("set_up", "S", "Set up", "See what setup would do, and let it do it", "overview", changes=True, rank=20),
    # --- vms
    Action("detail", "enter", "Detail", "Everything known about the VM", "vms", rank=10),
    Action("kill", "K", "Kill", "End the VM or all marked, after a question", "vms", changes=True, rank=20),
    Action("copy", "y", "Copy id", "Copy the id of the VM, or of all marked ones", "vms", rank=70),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "vms"),
    # --- one VM
    Action("next_section", "right_square_bracket,tab", "Next", "Next section of what is known", VM, rank=12),
    Action("previous_section", "left_square_bracket,shift+tab", "Previous", "Section before", VM, rank=11),
    Action("kill", "K", "Kill", "End the VM and the run in it, after a question", VM, changes=True, rank=20),
    Action("copy", "y", "Copy", "Copy this section as text", VM, rank=30),
    Action("copy_id", "i", "Copy id", "Copy the id of the VM", VM, rank=35),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", VM),
    Action("leave", "escape,q,left", "Back", "Back to the VMs", VM, rank=10),
    # --- images
    Action("detail", "enter", "Detail", "Everything known about the image", "images", rank=10),
    Action("remove", "D", "Delete", "Delete the image, after a question", "images", changes=True, rank=20),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "images"),
    # --- snapshots
    Action("detail", "enter", "Detail", "Everything known about the snapshot", "snapshots", rank=10),
    Action("create", "n", "New", "Make a snapshot of a language", "snapshots", changes=True, rank=20),
    Action("verify", "v", "Verify", "Read the files again and compare digests", "snapshots", rank=25),
    Action("remove", "D", "Delete", "Delete the snapshot, after a question", "snapshots", changes=True, rank=30),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "snapshots"),
    # --- scratchpad
    Action("run", "ctrl+r,f5", "Run", "Run the code in a microVM of its own", "scratchpad", changes=True, rank=10),
    Action("cancel_run", "ctrl+g", "Cancel", "End the run and its VM", "scratchpad", rank=20),
    Action("choose_language", "ctrl+t", "Language", "Choose the language", "scratchpad", rank=30),
    Action("insert_example", "ctrl+n", "Example", "Replace the code by the language's example", "scratchpad", rank=40),
    Action("leave_field", "escape", "Leave field", "Give the keys back to the console", "scratchpad", rank=50),
    Action("edit", "i,enter", "Edit", "Go to the code", "scratchpad", rank=50),
    # --- jobs
    Action("detail", "enter", "Detail", "Error and remedy of the job", "jobs", rank=10),
    Action("cancel_job", "X", "Cancel", "Stop the job, after a question", "jobs", changes=True, rank=20),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "jobs"),
    # --- runs
    # --- setup
    # --- settings
    # --- lists
    Action("filter", "slash", "Filter", "Show rows by words, !word and column:word", LISTS, rank=60),
    Action("clear_filter", "escape", "Clear", "Show all rows again; then take all marks away", LISTS),
    Action("cursor_up", "up,k", "Up", "Row above", LISTS),
    Action("cursor_down", "down,j", "Down", "Row below", LISTS),
    Action("page_up", "pageup", "Page up", "A page up", LISTS),
    Action("page_down", "pagedown", "Page down", "A page down", LISTS),
    Action("first", "home,g", "First", "First row", LISTS),
    Action("last", "end,G", "Last", "Last row", LISTS),
    Action("sort", "s", "Sort", "Choose a column to sort by; or click its title", SORTING, rank=64),
    Action("reverse", "S", "Reverse", "Sort the other way round", SORTING),
    Action("mark", "space", "Mark", "Mark the row, or take its mark away", MARKS, rank=66),
    Action("mark_all", "asterisk", "Mark all", "Mark all rows shown, or take their marks away", MARKS),
    # --- output
    Action("scroll_up", "up,k", "Up", "Line up; stops following", OUTPUT),
    Action("scroll_down", "down,j", "Down", "Line down", OUTPUT),
    Action("page_up", "pageup", "Page up", "A page up; stops following", OUTPUT),
    Action("page_down", "pagedown", "Page down", "A page down", OUTPUT),
    Action("first", "home,g", "Start", "Oldest line kept", OUTPUT),
    Action("follow", "end,G", "Follow", "Newest line, and follow what comes", OUTPUT),
    # --- dialogs
    Action("close", "escape,q", "Close", "Close the dialog, change nothing", DIALOGS),
)


def actions(where: str) -> list[Action]:
    return [action for action in ACTIONS if action.where == where]


def action_named(name: str, *places: str) -> Action | None:
    return next((action for action in ACTIONS if action.name == name and action.where in places), None)


def bindings(where: str) -> list[BindingType]:
    """Key bindings of one place. Function keys and the way out work from inside text fields and dialogs too."""
    found: list[BindingType] = []
    for action in actions(where):
        for key in action.keys.split(","):
            found.append(
                Binding(
                    key,
                    action.call,
                    action.title,
                    show=False,
                    priority=where == EVERYWHERE and (key == "ctrl+q" or (key[0] == "f" and key[1:].isdigit())),
                    id=f"{where}.{action.name}{'.' + action.argument if action.argument else ''}",
                )
            )
    return found
