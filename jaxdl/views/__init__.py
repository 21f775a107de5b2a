"""Views of a network, by name, in the order in which they are made."""

from jaxdl.views import activity, network

VIEWS = {**network.VIEWS, **activity.VIEWS}
