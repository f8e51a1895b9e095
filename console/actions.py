"""Every action of the console, as data: key bindings, help, palette, action bar and read-only mode all read this.

An action ``kill`` is carried out by the method ``action_kill`` of the screen (or, for EVERYWHERE, of the app). Keys
that tmux, screen and plain SSH clients eat or re-encode (ctrl+a, b, h, i, j, m, alt, shift+F) are not used.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.binding import Binding, BindingType

from console.modes import MODES
from console.run_filter_syntax import SYNTAX

EVERYWHERE = "everywhere"
VM = "vm"
LISTS = "lists"
SORTING = "sorting"
MARKS = "marks"
OUTPUT = "output"
DIALOGS = "dialogs"
CATALOGUE = "catalogue"
SERIES = "series"
SCRATCH_HISTORY = "scratchpad history"
SCRATCH_FILES = "scratchpad files"
SCRATCH_INPUTS = "scratchpad inputs"

_KEY_NAMES = {
    "question_mark": "?",
    "colon": ":",
    "slash": "/",
    "minus": "-",
    "asterisk": "*",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
    "escape": "esc",
    "pageup": "pgup",
    "pagedown": "pgdn",
    "full_stop": ".",
    "comma": ",",
}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that the operator can do.

    ``keys`` is a comma list, main key first. ``where`` is a mode, or one of the places named above. ``changes`` marks
    what changes something, ``runs`` what only runs code, ``private`` what looks at the operator's own: ``Rights`` say
    who may. ``rank`` orders the action bar, 0 stays out of it.
    """

    name: str
    keys: str
    title: str
    about: str
    where: str
    changes: bool = False
    rank: int = 0
    argument: str = ""
    runs: bool = False
    private: bool = False

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
    Action("last_mode", "minus", "Last", "Go back to the area that was shown before", EVERYWHERE),
    Action("palette", "ctrl+p,colon", "Palette", "Find any action, or go to an area: vms py", EVERYWHERE, rank=80),
    Action("help", "question_mark,f1", "Help", "List the keys of this screen", EVERYWHERE, rank=90),
    Action("choose_theme", "T", "Theme", "Choose colours, with a live preview", EVERYWHERE),
    Action("toggle_mouse", "m", "Mouse", "Give the mouse to the console or back to the terminal", EVERYWHERE),
    Action("redraw", "ctrl+l", "Redraw", "Paint the whole screen again", EVERYWHERE),
    Action(
        "open_engine", "R", "Try again", "Try at once to open the engine that failed or is lost", EVERYWHERE, rank=5
    ),
    Action("quit", "q,ctrl+q", "Quit", "Leave the console", EVERYWHERE, rank=95),
    # --- overview
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "overview", rank=30),
    Action("detail", "enter", "Detail", "Reason and remedy of the check", "overview", rank=10),
    Action("fix", "f", "Fix", "Let setup mend what the check found", "overview", changes=True, rank=15),
    Action("set_up", "S", "Set up", "Go to the setup of this host", "overview", rank=20),
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
    Action("catalogue", "c", "Catalogue", "Every language, its state, and what can be made for it", "images", rank=15),
    Action(
        "build", "b", "Build", "Build an image from packages, or from one of Docker", "images", changes=True, rank=20
    ),
    Action("add_packages", "a", "Add", "Build the image again with more packages", "images", changes=True, rank=25),
    Action("remove", "D", "Delete", "Delete the image, after a question", "images", changes=True, rank=30),
    Action("bucket", "B", "Bucket", "Show beside what is here what the bucket has", "images", rank=32, private=True),
    Action("upload", "U", "Upload", "Put the image into the bucket, after a question", "images", True, 34),
    Action("download", "F", "Fetch", "Download the image from the bucket, after a question", "images", True, 36),
    Action("prune", "P", "Prune", "Show what nothing needs, and remove it after a question", "images", True, 38),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "images"),
    # --- images: catalogue
    Action("detail", "enter", "Detail", "Everything known about the language", CATALOGUE, rank=10),
    Action("open_example", "o", "Open", "Open its example in the scratchpad", CATALOGUE, rank=15),
    Action("build", "b", "Build", "Build an image for the language, as the catalogue has it", CATALOGUE, True, 20),
    Action("build_with", "a", "With …", "Choose source, packages and size of the image", CATALOGUE, True, 22),
    Action("create", "n", "Snapshot", "Make a snapshot of the language", CATALOGUE, changes=True, rank=25),
    Action("leave", "escape,c,backspace", "Back", "Back to the images", CATALOGUE, rank=50),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", CATALOGUE),
    # --- snapshots
    Action("detail", "enter", "Detail", "Everything known about the snapshot", "snapshots", rank=10),
    Action("create", "n", "New", "Make a snapshot of a language", "snapshots", changes=True, rank=20),
    Action("verify", "v", "Verify", "Compare digests, run hello in a clone", "snapshots", rank=25, private=True),
    Action("renew", "u", "Renew", "Refresh it: the old one serves till the new one is there", "snapshots", True, 28),
    Action("remove", "D", "Delete", "Delete the snapshot, after a question", "snapshots", changes=True, rank=30),
    Action("bucket", "B", "Bucket", "Show beside what is here what the bucket has", "snapshots", rank=32, private=True),
    Action("upload", "U", "Upload", "Put the snapshot into the bucket, after a question", "snapshots", True, 34),
    Action("download", "F", "Fetch", "Download the snapshot from the bucket, after a question", "snapshots", True, 36),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "snapshots"),
    # --- scratchpad
    Action("run", "ctrl+r,f5", "Run", "Run the code in a microVM of its own", "scratchpad", runs=True, rank=10),
    Action("cancel_run", "ctrl+g", "Cancel", "End the run and its VM", "scratchpad", rank=20),
    Action("choose_language", "ctrl+t", "Language", "Choose the language", "scratchpad", rank=30),
    Action("leave_field", "escape", "Leave field", "Give the keys back to the console", "scratchpad", rank=5),
    Action("edit", "i,enter", "Edit", "Go to the code", "scratchpad", rank=40),
    Action("form", "e", "Input", "Args, stdin, env, limits, boot mode: show and edit", "scratchpad", rank=41),
    Action("history", "h", "History", "What was run, its results, and the difference of two", "scratchpad", rank=42),
    Action("compare", "c", "Compare", "Run cold and from a snapshot", "scratchpad", runs=True, rank=43),
    Action("batch", "b", "Batch", "Run once for each of several inputs", "scratchpad", rank=44),
    Action("copy", "y", "Copy", "Code, output, curl or CLI line to the clipboard", "scratchpad", rank=45),
    Action("new_buffer", "ctrl+n", "New", "Open a new buffer", "scratchpad", rank=50),
    Action("buffers", "o", "Buffers", "List the open buffers and go to one", "scratchpad", rank=51),
    Action("next_buffer", "full_stop", "Next buffer", "Go to the next buffer", "scratchpad"),
    Action("previous_buffer", "comma", "Prev buffer", "Go to the buffer before", "scratchpad"),
    Action("close_buffer", "X", "Close", "Close this buffer, after a question", "scratchpad"),
    Action("files", "f", "Files", "List the buffer's files; add, rename, remove", "scratchpad", rank=52),
    Action("next_file", "right_square_bracket", "Next file", "Go to the next file of the buffer", "scratchpad"),
    Action("previous_file", "left_square_bracket", "Prev file", "Go to the file before", "scratchpad"),
    Action("open_file", "ctrl+o", "Open", "Open a local file in a new buffer", "scratchpad", rank=53),
    Action("save_file", "ctrl+s,w", "Save", "Save what is in the editor as a local file", "scratchpad", rank=54),
    Action("insert_example", "x", "Example", "Replace the code by the language's example", "scratchpad"),
    # --- scratchpad: a table of several runs
    Action("show_output", "enter", "Output", "Output of the run under the cursor", SERIES),
    # --- scratchpad: dialogs
    Action("reopen", "enter", "Reopen", "Snippet and result in a new buffer", SCRATCH_HISTORY),
    Action("mark", "v,space", "Mark", "Mark for the difference of two", SCRATCH_HISTORY),
    Action("difference", "d", "Diff", "Difference of the two that are marked", SCRATCH_HISTORY),
    Action("remove", "D", "Delete", "Delete the entry, after a question", SCRATCH_HISTORY),
    Action("clear", "C", "Clear", "Delete all entries, after a question", SCRATCH_HISTORY),
    Action("add_file", "n", "New", "Add a file", SCRATCH_FILES),
    Action("rename_file", "r", "Rename", "Give the file another path", SCRATCH_FILES),
    Action("remove_file", "D", "Remove", "Remove the file, after a question", SCRATCH_FILES),
    Action("show_file", "enter", "Show", "Show the file in the editor", SCRATCH_FILES),
    Action("add_input", "n", "New", "Add an input", SCRATCH_INPUTS),
    Action("edit_input", "enter,i", "Edit", "Edit the input under the cursor", SCRATCH_INPUTS),
    Action("remove_input", "D", "Remove", "Remove the input under the cursor", SCRATCH_INPUTS),
    Action("split_input", "L", "Per line", "Make an input of each line of this one", SCRATCH_INPUTS),
    # --- jobs
    Action("detail", "enter", "Detail", "Error and remedy of the job", "jobs", rank=10),
    Action("cancel_job", "X", "Cancel", "Stop the job, after a question", "jobs", changes=True, rank=20),
    Action("retry_job", "t", "Try again", "Do once more what failed or was cancelled", "jobs", changes=True, rank=25),
    Action("show_result", "o", "Result", "Go to the image or snapshot that it made", "jobs", rank=30),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "jobs"),
    # --- runs
    Action("detail", "enter", "Detail", "Everything known about the run", "runs", rank=10),
    Action("rerun", "o", "Scratchpad", "Open what it did, to run it again", "runs", rank=20, private=True),
    Action("export", "w", "Export", "Write what is shown to a CSV or JSON file", "runs", rank=30, private=True),
    Action("filter", "slash", "Filter", f"Show only some: {SYNTAX}", "runs"),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "runs"),
    # --- setup
    Action("next", "enter", "Next", "Go on, or do what the stage offers", "setup", rank=10),
    Action("back", "b,backspace", "Back", "Look at the stage before", "setup", rank=15),
    Action("apply", "A", "Apply", "Do what the plan says, after a question", "setup", changes=True, rank=20),
    Action("toggle_skip", "space", "Skip", "Leave the step out, or take it in again", "setup", changes=True, rank=25),
    Action("options", "o", "Options", "Change the plan: VMM, sources, language", "setup", changes=True, rank=30),
    Action("cancel_job", "X", "Cancel", "Stop the job, after a question", "setup", changes=True, rank=22),
    Action("full_log", "l", "Log", "Give the log all the room, or less again", "setup", rank=40),
    Action("look_again", "r", "Look again", "Look at the host anew", "setup", rank=50),
    Action("undo", "U", "Undo setup", "Show what setup made here, and remove it", "setup", changes=True, rank=55),
    # --- settings
    Action("detail", "enter", "Detail", "What the setting is for and where it comes from", "settings", rank=10),
    Action("edit", "e", "Edit", "Change the setting in config.toml", "settings", changes=True, rank=15),
    Action("unset", "U", "Unset", "Go back to the default, after a question", "settings", changes=True, rank=20),
    Action("steer_service", "d", "Service", "Start, stop, enable the daemon", "settings", changes=True, rank=30),
    Action("show_token", "t", "Token", "Show the API token, after a question", "settings", changes=True, rank=40),
    Action("refresh_now", "r", "Refresh", "Ask the engine again at once", "settings"),
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
    Action("find", "slash", "Find", "Find a text in the output", OUTPUT),
    Action("find_next", "n", "Next match", "Next match of what was looked for", OUTPUT),
    Action("find_previous", "N", "Match before", "Match before this one", OUTPUT),
    Action("leave_find", "escape", "Leave", "End the search", OUTPUT),
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
