"""Telemetry: its sources, and the prepared fleet that everything else reads.

Each part is imported from the module it stands in, so that what reads a prepared fleet (``fleet.py``) depends on no
reader: ``sources.py`` and ``layouts.py`` open telemetry, ``prepare.py`` makes a fleet of it, ``inspection`` describes
it, ``fetch`` downloads what is public.
"""
