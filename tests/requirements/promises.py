"""What the README promises, word for word, and the tests that hold it."""

from typing import NamedTuple


class Promise(NamedTuple):
    """A sentence of the README, and tests as `file::function`, from the folder of the tests."""

    words: str
    tests: tuple[str, ...]


_WORKFLOW = "integration/workflows/test_build_workflow.py"

PROMISES = (
    Promise(
        "It survives crashes and restarts, and a failed build goes on from the step that failed.",
        (
            "e2e/test_builds.py::test_a_build_survives_its_worker_being_killed_in_the_boot",
            "e2e/test_builds.py::test_a_build_survives_its_worker_being_killed_in_a_layer_and_in_assembly",
            f"{_WORKFLOW}::test_a_verdict_parks_at_once_and_a_retry_keeps_the_finished_steps",
            "unit/service/test_commands.py::test_a_failed_build_goes_on",
        ),
    ),
    Promise(
        "An image that was not booted is `unverified`, and nothing here calls it anything else.",
        (
            "unit/service/test_log_and_downloads.py::test_an_unverified_image_is_called_unverified",
            f"{_WORKFLOW}::test_failed_assertions_release_the_machines_and_keep_the_images_unverified",
        ),
    ),
    Promise(
        "every mistake at once, packages included",
        (
            "unit/domain/test_recipe_parse.py::test_every_problem_is_named_at_once_with_its_path",
            "unit/service/test_recipes.py::test_the_worker_has_the_last_word_about_packages",
        ),
    ),
    Promise(
        "over Streamable HTTP, with the header `Authorization: Bearer <key>`",
        (
            "integration/mcp_server/test_over_http.py::test_a_build_is_accepted_once_and_never_unknown",
            "integration/mcp_server/test_over_http.py::test_without_the_key_nothing_answers",
        ),
    ),
    Promise(
        "the files with their size and SHA-256",
        (
            "unit/service/test_log_and_downloads.py::test_a_link_opens_its_file_for_an_hour",
            "integration/console/test_gateway.py::test_a_whole_file_is_sent_with_its_digest",
        ),
    ),
)
