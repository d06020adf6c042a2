"""Interventions on a subject by the features of a dictionary: pin, ablate, patch, sample, and attribute effects.

An intervention changes the activation by the difference of reconstructions, so that what the dictionary does not
explain (the SAE's error) stays as it is.
"""
