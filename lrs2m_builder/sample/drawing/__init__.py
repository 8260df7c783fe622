"""Draws the scenes of the sample world."""
