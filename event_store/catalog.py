"""All read models. A new one is a module in `models` and a line here."""

from typing import Any

from event_store.models.builds import BUILDS
from event_store.models.images import IMAGES
from event_store.models.rebuilds import REBUILDS
from event_store.models.saved_recipes import SAVED_RECIPES
from event_store.models.suites import SUITES
from event_store.models.test_runs import TEST_RUNS
from event_store.models.vms import VMS
from event_store.projection import Projection

PROJECTIONS: tuple[Projection[Any], ...] = (BUILDS, VMS, IMAGES, SUITES, TEST_RUNS, SAVED_RECIPES, REBUILDS)
