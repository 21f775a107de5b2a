"""Class weights of a config for the loss of `tasks.classify`."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxdl.config import checks, spelling


def as_numbers(task: Any, classes: Sequence[str], counts: Sequence[int] | None) -> Any:
  """Replaces the class weights of a config's task by numbers.

  Args:
    task: name, or a dict with 'name' and 'class_weights', which are one of

      - 'balanced': n / (K · n_k), where n_k of the n training examples are of class k; the mean
        over the examples is 1
      - K numbers
      - a dict of class name → number, 1 for the classes that are left out
    classes: names of the K classes.
    counts: number of training examples of each class; None if it is not known.

  Returns:
    The same task with K floats as 'class_weights', if it has class weights.

  Raises:
    ValueError: the weights have another form, or a class has no training example.
  """
  if not isinstance(task, Mapping) or task.get('class_weights') is None:
    return task
  given, where = task['class_weights'], 'config.task.class_weights'
  if given == 'balanced':
    weights = _balanced(classes, counts, where)
  elif isinstance(given, Mapping):
    for name in given:
      if name not in classes:
        raise ValueError(
          f'{where}.{name} is not a class of the data: its classes are '
          f'{", ".join(classes[:10])}{", …" if len(classes) > 10 else ""}'
          f'{spelling.meant(name, classes)}'
        )
    weights = [given.get(name, 1.0) for name in classes]
  elif isinstance(given, (list, tuple)):
    if len(given) != len(classes):
      raise ValueError(
        f'{where} has {len(given)} weights, but the data have {len(classes)} classes: give one each'
      )
    weights = list(given)
  else:
    raise ValueError(
      f"{where}={given!r} are not class weights: use 'balanced', {len(classes)} numbers, or a dict "
      'of class name to number'
    )
  for name, weight in zip(classes, weights, strict=True):
    checks.check_range(weight, f'{where} of class {name!r}', 0)
  if not any(weights):
    raise ValueError(f'{where} are all 0, so nothing can be trained: give a class a weight above 0')
  return {**task, 'class_weights': [float(weight) for weight in weights]}


def _balanced(classes, counts, where):
  if not counts or len(counts) != len(classes):
    raise ValueError(
      f"{where}='balanced' needs the number of examples of each class, which these data do not "
      'have: give numbers'
    )
  absent = [name for name, count in zip(classes, counts, strict=True) if not count]
  if absent:
    raise ValueError(
      f"{where}='balanced' has no weight for class {absent[0]!r}, which has no training example: "
      'give numbers, or other training examples'
    )
  return [sum(counts) / (len(counts) * count) for count in counts]
