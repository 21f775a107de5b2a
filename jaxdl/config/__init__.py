"""Configs: read from files and command lines, checked, and bound to keyword arguments.

A section of a config becomes the keyword arguments of one function or class; an unknown key is an
error that names the valid ones.
"""
