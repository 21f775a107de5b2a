"""Mistakes planted in source code: one standard mutation operator applied at one node of its tree."""

import ast
import copy
import random
from collections.abc import Iterator
from typing import NamedTuple

SWAPPED = {
  ast.Lt: ast.LtE,
  ast.LtE: ast.Lt,
  ast.Gt: ast.GtE,
  ast.GtE: ast.Gt,
  ast.Eq: ast.NotEq,
  ast.NotEq: ast.Eq,
  ast.Is: ast.IsNot,
  ast.IsNot: ast.Is,
  ast.In: ast.NotIn,
  ast.NotIn: ast.In,
  ast.Add: ast.Sub,
  ast.Sub: ast.Add,
  ast.Mult: ast.Div,
  ast.Div: ast.Mult,
  ast.FloorDiv: ast.Mult,
  ast.And: ast.Or,
  ast.Or: ast.And,
}
SORTS = {'sort', 'argsort', 'sorted'}
NOT_MUTATED = (ast.Raise, ast.Assert)  # messages, and checks of the code's own state
NOT_MUTATED_FIELDS = {'annotation', 'returns', 'decorator_list'}


class Mutant(NamedTuple):
  """A copy of a module with one mistake.

  Attributes:
    name: the function, its line, and the expression before and after.
    source: the module's source code with the mistake.
  """

  name: str
  source: str


class Place(NamedTuple):
  """A node of a tree, its position and its possible replacements."""

  parent: ast.AST
  field: str
  index: int | None
  node: ast.AST
  mistakes: list[ast.AST]


def of_source(source: str) -> list[Mutant]:
  """Creates one mutant of each function and method of a module.

  The function's name is the seed of the choice, so changes elsewhere in the module do not affect
  it. Functions without a node that can be mutated are omitted.
  """
  tree = ast.parse(source)
  found = []
  for name, function in _functions(tree):
    choices = [(place, mistake) for place in _places(function) for mistake in _distinct(place)]
    if choices:
      place, mistake = random.Random(name).choice(choices)
      text = f'{name}:{place.node.lineno}: {ast.unparse(place.node)} → {ast.unparse(mistake)}'
      found.append(Mutant(text, _planted(tree, place, mistake)))
  return found


def _functions(tree, prefix='') -> Iterator[tuple[str, ast.FunctionDef]]:
  """Yields (qualified name, node) of the functions of a module and the methods of its classes."""
  for node in tree.body:
    if isinstance(node, ast.ClassDef):
      yield from _functions(node, f'{prefix}{node.name}.')
    elif isinstance(node, ast.FunctionDef):
      yield prefix + node.name, node


def _places(node) -> Iterator[Place]:
  """Yields the nodes below a node, except annotations, decorators and error messages."""
  for field, value in ast.iter_fields(node):
    if field in NOT_MUTATED_FIELDS:
      continue
    in_list = isinstance(value, list)
    for index, child in enumerate(value if in_list else [value]):
      if isinstance(child, ast.AST) and not isinstance(child, NOT_MUTATED):
        yield Place(node, field, index if in_list else None, child, mistakes(child))
        yield from _places(child)


def _distinct(place) -> list[ast.AST]:
  """Returns the mistakes at a place that change its source code."""
  before = ast.unparse(place.node)
  return [mistake for mistake in place.mistakes if ast.unparse(mistake) != before]


def _planted(tree, place, mistake) -> str:
  """Returns the source code of a tree with a mistake at a place; the tree is unchanged afterwards."""
  _put(place, mistake)
  source = ast.unparse(ast.fix_missing_locations(copy.deepcopy(tree)))
  _put(place, place.node)
  return source


def _put(place, node):
  if place.index is None:
    setattr(place.parent, place.field, node)
  else:
    getattr(place.parent, place.field)[place.index] = node


def mistakes(node: ast.AST) -> list[ast.AST]:
  """Returns the possible replacements of a node."""
  match node:
    case ast.Compare(ops=[op]) if type(op) in SWAPPED:
      return [_with(node, ops=[SWAPPED[type(op)]()])]
    case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in SWAPPED:
      return [_with(node, op=SWAPPED[type(op)]())]
    case ast.UnaryOp(op=ast.Not() | ast.USub()):
      return [node.operand]
    case ast.IfExp():
      return [_with(node, body=node.orelse, orelse=node.body)]
    case ast.Slice():
      return [_with(node, **{bound: None}) for bound in ('lower', 'upper', 'step')]
    case ast.Constant():
      return [ast.Constant(value) for value in _other_values(node.value)]
    case ast.Call():
      return _other_calls(node)
  return []


def _other_values(value) -> list:
  """Returns the possible replacements of a constant; none for strings."""
  if isinstance(value, bool):
    return [not value]
  if isinstance(value, int):
    return [value + 1, value - 1]
  if isinstance(value, float):
    return [value / 2]
  return []


def _other_calls(node) -> list[ast.AST]:
  """Returns variants of a call.

  The variants are: the first two arguments swapped, without one of the keywords, and for a sort, in
  reversed order.
  """
  calls = []
  positional = not any(isinstance(argument, ast.Starred) for argument in node.args[:2])
  if len(node.args) > 1 and positional:
    calls.append(_with(node, args=[node.args[1], node.args[0], *node.args[2:]]))
  for number, keyword in enumerate(node.keywords):
    if keyword.arg is not None:
      calls.append(_with(node, keywords=node.keywords[:number] + node.keywords[number + 1 :]))
  called = getattr(node.func, 'attr', getattr(node.func, 'id', None))
  if called in SORTS:
    reverse = ast.Slice(step=ast.UnaryOp(ast.USub(), ast.Constant(1)))
    calls.append(ast.Subscript(value=node, slice=reverse, ctx=ast.Load()))
  return calls


def _with(node, **fields) -> ast.AST:
  """Returns a copy of a node with some of its fields replaced."""
  changed = copy.copy(node)
  for name, value in fields.items():
    setattr(changed, name, value)
  return changed
