"""Views of a network, by name, in the order in which they are made."""

from jaxdl.views import activity, attributions, codes, network, neurons, predictions, sequences

VIEWS = {
  **network.VIEWS,
  **activity.VIEWS,
  **neurons.VIEWS,
  **attributions.VIEWS,
  **predictions.VIEWS,
  **codes.VIEWS,
  **sequences.VIEWS,
}
