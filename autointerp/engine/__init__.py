"""Stages as tasks over parts, done by several workers: processes of this machine, or Ray's.

A task is a function `(share, *arguments) -> result` that a worker can import. Workers share a desk with their
coordinator; artefacts travel by the file system, results by the engine.
"""
