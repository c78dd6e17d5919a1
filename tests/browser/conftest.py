"""The browser of the tests in this folder."""

from browser.chromium import chromium

__all__ = ["chromium"]
