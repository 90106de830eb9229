"""Renders the published report (plain data of ``Report.to_dict``) for people and tables.

Everything here is a function over a mapping, so that a stored report looks the same as
a fresh one. Names, words and descriptions in a report come from hostile media: each
renderer makes them harmless for its own form.
"""
