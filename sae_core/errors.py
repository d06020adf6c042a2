"""Errors that a user of sae_core can mend; each message names the value, the path and the fix."""

from __future__ import annotations


class SaeCoreError(Exception):
    """Base of sae_core's errors."""


class DictionaryFormatError(SaeCoreError):
    """A dictionary on disk is missing, truncated, of an unknown architecture or of inconsistent shapes."""


class DictionaryObjectError(SaeCoreError):
    """A Python object cannot serve as a dictionary, or is gone."""


class DictionaryExportError(SaeCoreError):
    """A dictionary cannot be expressed in another tool's format."""


class DictionaryWriteError(SaeCoreError):
    """A file cannot be written: a full disk, a read-only folder."""


class WidthMismatchError(SaeCoreError):
    """Activations and dictionary differ in input width."""


class TrainingDataError(SaeCoreError):
    """The activations cannot train a dictionary: none, too few, or not finite."""


class TrainingStateError(SaeCoreError):
    """The state of an interrupted training is damaged, of a foreign schema, or of another configuration."""


class ActivationStoreError(SaeCoreError):
    """Activations on disk are missing, truncated, or of another store."""


class MissingPackageError(SaeCoreError):
    """An option needs a package that is not installed."""
