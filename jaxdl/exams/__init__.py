"""Exams of attribution methods: networks of several seeds on planted evidence, and their grades."""

from jaxdl.exams.grades import graded
from jaxdl.exams.seeds import members, train

__all__ = ['graded', 'members', 'train']
