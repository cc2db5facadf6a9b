"""What every test shares: how much of all is run, and where the real weights are.

`make test` runs everything but the tests marked `exhaustive`; `make test-exhaustive` passes
`--exhaustive` and runs those too. `make test-quick` passes `--quick`, for work: of each test the
first of its cases, and none of `SLOW`. What a test lacks (torch, transformers, the
weights, an instruction set) it skips by name, with the reason; pytest prints the list.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "build" / "weights" / "all-MiniLM-L6-v2"


# what takes more than a second, most of it in processes that it starts or in torch's compiler
SLOW = frozenset(
    (
        "tests/api/test_typing.py::test_mypy_knows_the_verbs",
        "tests/bridges/test_dlpack.py::test_nothing_ends_the_process",
        "tests/bridges/test_lifetimes.py::test_nothing_crashes",
        "tests/bridges/test_lifetimes.py::test_what_aborts_is_known",
        "tests/bridges/test_pil.py::test_the_pixels_outlive_the_image",
        "tests/bridges/test_reuse.py::test_many_threads_share_one_pool",
        "tests/bridges/test_torch_library.py::test_compiles_at_the_first_call",
        "tests/capability/test_bench.py::test_errors_are_of_the_size_that_the_format_has",
        "tests/capability/test_bench.py::test_every_format_of_every_case_is_there_or_missing_with_a_reason",
        "tests/capability/test_bench.py::test_int32_becomes_int64_among_the_casts",
        "tests/capability/test_bench.py::test_without_our_own_cast_the_others_are_measured",
        "tests/capability/test_bench.py::test_without_torch_casts_are_measured",
        "tests/checkpoint/decide/test_endings.py::test_on_the_command_line",
        "tests/checkpoint/store/test_crash.py::test_killed_at_every_step",
        "tests/checkpoint/store/test_crash.py::test_killed_at_every_step_of_one_file",
        "tests/checkpoint/store/test_crash.py::test_killed_at_every_step_of_replacing",
        "tests/checkpoint/work/test_from_pretrained.py::test_transformers",
        "tests/cli/test_bench.py::test_a_quick_run",
        "tests/cli/test_bench.py::test_an_interruption_ends_it_and_its_process",
        "tests/cli/test_bench.py::test_json",
        "tests/cli/test_bench.py::test_no_cuda",
        "tests/cli/test_convert.py::test_a_format_that_is_read_differently",
        "tests/cli/test_convert.py::test_an_interrupted_conversion_resumes",
        "tests/cli/test_convert.py::test_inspect_and_convert_say_the_same",
        "tests/cli/test_convert.py::test_the_destination_is_protected",
        "tests/cli/test_inspect.py::test_a_hundred_thousand_tensors_take_little_memory",
        "tests/cli/test_inspect.py::test_a_name_and_a_shape_of_millions_are_cut",
        "tests/cli/test_other_files.py::test_every_other_file_is_copied_or_left_out_with_its_reason",
        "tests/cli/test_profile.py::test_a_forward_that_fails_shows_what_was_seen",
        "tests/cli/test_profile.py::test_bad_usage",
        "tests/cli/test_profile.py::test_clean_models",
        "tests/cli/test_profile.py::test_html",
        "tests/cli/test_profile.py::test_json",
        "tests/cli/test_profile.py::test_the_function_fails",
        "tests/cli/test_start.py::test_a_benchmark_without_torch",
        "tests/cli/test_start.py::test_started_without_its_streams",
        "tests/cli/test_trace.py::test_a_failing_script_shows_what_was_seen",
        "tests/cli/test_trace.py::test_clean_code",
        "tests/cli/test_trace.py::test_findings_stand_with_their_lines",
        "tests/cli/test_trace.py::test_html",
        "tests/cli/test_trace.py::test_json",
        "tests/core/test_collapse.py::test_what_the_formats_exclude_is_not_there",
        "tests/core/test_ends_of_range.py::test_the_reference_to_test_against",
        "tests/inplace/test_inplace.py::test_the_peak_of_a_fresh_process",
        "tests/inplace/test_inplace_kept.py::test_transformers_run_as_those_that_were_loaded_so",
        "tests/inplace/test_inplace_pages.py::test_a_kernel_that_refuses_to_move",
        "tests/inplace/test_inplace_pages.py::test_a_process_with_no_more_mappings",
        "tests/inplace/test_inplace_refusals.py::test_a_kept_exception_is_named",
        "tests/inplace/test_inplace_sharing.py::test_a_killed_worker_changes_nothing",
        "tests/inplace/test_inplace_sharing.py::test_an_interrupt_between_tensors_of_a_module",
        "tests/inplace/test_inplace_sharing.py::test_interrupts_at_many_points",
        "tests/inplace/test_inplace_sharing.py::test_threads_that_look_meanwhile",
        "tests/inplace/test_inplace_threads.py::test_reading_on_one_thread_and_converting_on_another",
        "tests/kernels/test_fast.py::test_subinterpreters",
        "tests/kernels/test_fast.py::test_with_and_without_the_c_functions_of_torch",
        "tests/kernels/test_fast_sharing.py::test_tensors_may_outlive_python",
        "tests/kernels/test_kernels.py::test_every_pair_and_policy",
        "tests/kernels/test_native.py::test_program",
        "tests/kernels/test_native.py::test_the_oracle_equals_the_reference",
        "tests/kernels/test_private.py::test_a_name_that_is_none",
        "tests/kernels/test_private.py::test_with_all",
        "tests/kernels/test_private.py::test_without",
        "tests/kernels/test_soak.py::test_a_leak_is_found",
        "tests/kernels/test_soak.py::test_nothing_leaks",
        "tests/kernels/test_torch_lazy.py::test_a_shrunk_storage_is_refused_by_every_entry",
        "tests/kernels/test_torch_ops.py::test_every_pair",
        "tests/model/test_graphs.py::test_compiled_code_may_be_given_and_stays",
        "tests/model/test_graphs.py::test_real_weights_compiled_under_autocast",
        "tests/model/test_profile.py::test_gradients_and_optimizer_state",
        "tests/model/test_profile.py::test_nan_is_told_where_it_begins",
        "tests/model/test_profile.py::test_operators_of_a_higher_order_and_no_compiler_for_nothing",
        "tests/model/test_profile.py::test_parameters_that_nothing_reads",
        "tests/model/test_profile.py::test_seven_billion_parameters_on_meta",
        "tests/model/test_profile.py::test_the_peak_is_what_is_alive",
        "tests/model/test_profile.py::test_what_was_there_before_is_not_the_forwards",
        "tests/model/test_profile_memory.py::test_bytes_are_what_the_system_says",
        "tests/model/test_profile_real.py::test_a_trained_cnn",
        "tests/model/test_profile_real.py::test_an_activation_beyond_float16_in_minilm",
        "tests/model/test_profile_real.py::test_minilm",
        "tests/model/test_trace.py::test_the_fixture",
        "tests/report/test_html.py::test_a_large_profile_stays_small_and_adds_up",
        "tests/report/test_html.py::test_a_page_stays_small_and_counts_what_it_leaves_out",
        "tests/report/test_html_hostile.py::test_a_large_report_is_quick",
        "tests/report/test_html_hostile.py::test_hostile_names_do_nothing",
        "tests/report/test_html_reader.py::test_every_control_is_reached_named_and_shown",
        "tests/test_demo.py::test_a_failed_download_leaves_nothing",
        "tests/test_demo.py::test_demo",
        "tests/test_floors.py::test_no_circle_of_files",
        "tests/testing/test_testing.py::test_our_casts_match_under_every_policy",
        "tests/testing/test_testing.py::test_wrong_functions_are_found",
    )
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="run the tests marked exhaustive too (minutes to hours)",
    )
    parser.addoption(
        "--quick",
        action="store_true",
        help="of each test the first of its cases, and no test that takes long",
    )
    parser.addoption(
        "--screenshots",
        metavar="DIRECTORY",
        help="keep pictures of the HTML reports there, to look at",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A shell starts what it runs in the background with SIGINT ignored, and every process below
    # inherits that; the tests of interruptions send it to themselves and to others.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    config.addinivalue_line("markers", "exhaustive: only in the full run, `--exhaustive`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect, rather than skip, what belongs to the full run: it lacks nothing."""
    if config.getoption("--exhaustive"):
        for item in items:
            if item.get_closest_marker("exhaustive"):
                item.add_marker(pytest.mark.timeout(0))
        return
    left = [item for item in items if item.get_closest_marker("exhaustive")]
    if config.getoption("--quick"):
        left += _left_by_the_quick_run([item for item in items if item not in set(left)])
    if left:
        config.hook.pytest_deselected(items=left)
        gone = set(left)
        items[:] = [item for item in items if item not in gone]


def _left_by_the_quick_run(items: list[pytest.Item]) -> list[pytest.Item]:
    """What is slow, and of each function all cases but the first."""
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    kept = {group[0] for group in cases.values()}
    return [item for item in items if item not in kept or item.nodeid.partition("[")[0] in SLOW]


@pytest.fixture(scope="session")
def exhaustive(pytestconfig: pytest.Config) -> bool:
    """Whether this is the full run, for a test that only widens its sample there."""
    return bool(pytestconfig.getoption("--exhaustive"))


@pytest.fixture(scope="session")
def minilm() -> Path:
    """The directory of MiniLM's float32 weights, as `make demo` fetches it; never written to."""
    if not (WEIGHTS / "model.safetensors").is_file():
        pytest.skip(f"the MiniLM weights are not in {WEIGHTS.relative_to(ROOT)}: run `make demo`")
    return WEIGHTS
