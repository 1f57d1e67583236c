"""The rows: what breaks, which tests hold it, and where a row is held by tests outside this folder."""

ROWS = {
    1: "kill -9 of a child in the middle of a chunk",
    2: "kill -9 of the whole worker, 20 times",
    3: "a message lost between BRPOP and its unacked entry",
    4: "a zombie: frozen longer than its lease",
    5: "kill -9 of the web in the middle of an upload",
    6: "kill -9 of the web after the commit, before the message",
    7: "the broker ends or is killed, and starts again",
    8: "the broker is flushed, or its disk is wiped",
    9: "the broker is frozen for 60 s",
    10: "a half-open link to the broker",
    11: "a full broker; one that evicts",
    12: "PostgreSQL restarts, or its postmaster is killed",
    13: "the disk of the blob store is full",
    14: "the disk of SQLite is full",
    15: "SQLite is locked for 10 s by another program",
    16: "a webhook receiver is down for an hour",
    17: "slow, endless and huge webhook answers",
    18: "500, 429 with Retry-After, 410",
    19: "redirects to private addresses, rebinding, odd spellings",
    20: "an image that kills its process",
    21: "thousands of broken images; out of memory",
    22: "16-bit, float, CMYK, palette and turned images",
    23: "archives: bombs, forged sizes, names that climb, links",
    24: "a batch of 10,000 cancelled half way",
    25: "every message two to five times",
    26: "a worker's clock wrong by 120 s",
    27: "rolling restart under load",
    28: "two sweepers",
    29: "a child that hangs",
    30: "an hour's soak (make faults-long)",
    31: "kill -9 of the parent of the embedded stack",
    32: "10,001 images, 1,001 parts, 256 file descriptors",
    33: "another tenant's ids on every route",
    34: "a model file corrupt, or swapped in the middle of a batch",
}

_DELIVER, _POST = "tests/integration/test_deliver.py", "tests/integration/test_post.py"
ELSEWHERE = {
    16: [f"{_DELIVER}::test_a_receiver_that_is_down_for_an_hour_gets_it_at_2_h_35_m_under_the_same_id"],
    17: [
        f"{_POST}::test_a_receiver_that_is_slow_on_purpose_is_cut_at_the_total_deadline",
        f"{_POST}::test_of_a_body_without_end_64_kb_are_read_and_500_bytes_kept",
    ],
    18: [
        f"{_DELIVER}::test_anything_but_2xx_is_tried_again",
        f"{_DELIVER}::test_gone_ends_the_delivery_at_once_with_its_reason",
        f"{_DELIVER}::test_retry_after_is_honoured_within_bounds",
    ],
    19: [
        f"{_POST}::test_no_spelling_of_a_forbidden_address_is_connected_to",
        f"{_POST}::test_a_name_that_answers_otherwise_the_second_time_gains_nothing",
        f"{_POST}::test_a_redirect_to_a_private_address_is_not_followed",
    ],
    22: ["tests/unit/shared/test_preprocess.py"],
    23: ["tests/integration/test_archives.py"],
    31: [
        "tests/e2e/test_up.py::test_a_killed_supervisor_takes_its_children_along_and_the_next_goes_on",
        "tests/e2e/test_up.py::test_after_kill_9_of_everything_the_next_start_goes_on",
    ],
    32: ["tests/integration/test_large_upload.py"],
    33: [
        "tests/unit/web/test_tenants.py",
        "tests/integration/test_http_keys.py::test_a_key_of_another_tenant_finds_nothing",
    ],
}

# The rows that every run of the tests has time for; the others are marked slow and run in `make faults`.
FAST = {
    "test_row_01_a_child_killed_in_the_middle_of_a_chunk": ("sqlite", "postgresql"),
    "test_row_03_a_message_lost_between_the_queue_and_its_unacked_entry": ("sqlite",),
    "test_row_04_a_frozen_child_wakes_after_its_lease": ("sqlite", "postgresql"),
    "test_row_05_the_web_is_killed_in_the_middle_of_an_upload": ("sqlite",),
    "test_row_06_the_web_dies_after_the_commit_and_before_the_message": ("sqlite",),
    "test_row_08_the_broker_is_flushed_in_the_middle_of_a_batch": ("sqlite",),
    "test_row_25_every_message_two_to_five_times": ("sqlite",),
}
