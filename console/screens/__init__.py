"""Screens, one per file: the modes that the digits switch between, and the dialogs that lie over them."""
