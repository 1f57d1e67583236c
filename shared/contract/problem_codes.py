"""Every stable error code: its cause in the first sentence, then what to do about it.

`/docs/errors/CODE` shows both; the `type` of each problem leads there.
"""

from shared.contract.scopes import SCOPES

REQUEST_CODES = {
    "drawing_pending": "No worker has drawn the thumbnail, image or heatmap yet. Ask again after Retry-After.",
    "artifact_missing": "The bytes of this model version are no longer in the store. Upload the artifact again.",
    "backlog_full": "The service has as much queued work as it may hold. Send it again after Retry-After.",
    "bad_request": "The request can't be read as what this path takes. The detail says what is wrong with it: "
    "correct the request.",
    "duplicate_custom_id": "A custom_id is unique within its batch; `line` names the line that repeats one. Give "
    "each image its own, and send it again.",
    "batch_deleted": "This Idempotency-Key made a batch that was deleted, less than a day ago. A repeated request "
    "judges nothing again: send a new key where the images are to be judged once more.",
    "claimed_by_other": "Another person has this item of the review queue. Take the next one with POST "
    "/v1/reviews/next.",
    "database_unavailable": "The database is away or busy. Send it again after Retry-After.",
    "forbidden": "The key is live, but lacks the scope that this path asks for. Use a key with that scope; an "
    "admin makes one with `gonogo keys create`.",
    "file_skipped": "A file of the archive that became no item: it is no image, or a system left it behind. "
    "Nothing is to be done, unless the file should have been an image.",
    "foreign_origin": "A page of another origin tried to act with a session cookie. Call the API with a key; "
    "behind a proxy, the operator sets GONOGO_PUBLIC_URL.",
    "headers_too_large": "The header fields of the request, or its address, are longer or more than the service takes. "
    "Send fewer and shorter ones; a long filter fits in several requests.",
    "http_error": "The web server refused the request; the status says why. Correct the request.",
    "forbidden_object": "The object is in no bucket and folder that the operator has opened to your tenant. Name one "
    "that is, or ask the operator for it (GONOGO_S3_BUCKETS).",
    "idempotency_key_in_use": "An upload with this Idempotency-Key is still running. Ask again after Retry-After.",
    "idempotency_key_not_taken": "This path keeps no Idempotency-Key, so a repeated request would act twice. Look "
    "for the effect of the first request, then send it again without the key where there is none.",
    "idempotency_key_reused": "This Idempotency-Key has been used with other content. Use a new key.",
    "body_too_slow": "The body stopped coming for too long. Nothing was kept: send it again.",
    "incomplete_body": "The body ended before its last part. Nothing was kept: send it again.",
    "invalid_model_name": "A model's name has 1 to 100 printable characters, does not look like an id, and is not "
    "`*`. Make the artifact again under another name.",
    "invalid_tenant": "A tenant has 1 to 64 printable characters, no space at either end; `*` is the installation. "
    "Name the tenant as the operator made it.",
    "model_not_ready": "The model version is still to be loaded by trial, or was refused; `reason` says why. Wait "
    "until its status is `ready`, or upload an artifact that a worker can load.",
    "internal_error": "A fault of the service. It is in the log under the request id: send it again, and tell the "
    "operator that id if it happens again.",
    "invalid_archive": "The archive is no readable zip, tar or tar.gz. Make it again; an archive that was cut off "
    "on its way is the usual cause.",
    "invalid_artifact": "The file is no model artifact, or its hashes don't agree. Upload the file that `python -m "
    "training` wrote, without changes.",
    "invalid_cursor": "A cursor is used as it was given, on the list that gave it, with the same filters and sort. "
    "Begin with the first page again.",
    "invalid_filename": "A file name has a control character, or more than 1,000 characters. Rename the file, and "
    "send it again.",
    "invalid_idempotency_key": "An Idempotency-Key has 1 to 255 characters. Send a random one for each submission, "
    "such as a UUID.",
    "invalid_manifest": "The manifest is no CSV with a header or NDJSON, or `errors` lists its bad lines. Correct "
    "those lines, and send it again.",
    "invalid_member": "A member of the body can't be used; `pointer` names it. The document at `/openapi.json` "
    "says what it may be.",
    "invalid_operating_point": "Threshold and review band must satisfy 0 <= low <= threshold <= high <= 1, "
    "together. Give both, or one that fits the other of the model.",
    "invalid_option": "An entry of the options can't be used; `pointer` names it. The document at `/openapi.json` "
    "says what it may be.",
    "invalid_options": "The options are no JSON object, or `errors` lists the entries that can't be used. Correct "
    "them, and send it again.",
    "invalid_parameter": "A query parameter has a value that it can't have. The detail says which values it takes.",
    "invalid_url": "The text is no plain http or https URL: it has no host that can be reached, names a user or a "
    "password, or holds a space. Write it as a browser shows it.",
    "length_required": "The request needs a Content-Length. Send one, or send the body chunked.",
    "malformed_multipart": "The multipart body is broken. Let a library write it: a boundary that occurs in a file "
    "is the usual cause.",
    "method_not_allowed": "The path exists, but not for this method. `Allow` names the methods that it takes.",
    "not_comparable": "The two batches have not the same images. Compare a batch with a rerun of it, or two reruns of "
    "one batch.",
    "no_guard": "The artifact does not know how its images look, so an image of anything gets a verdict. Make it "
    "again with `python -m training guard`, or upload it with without_guard=true.",
    "no_images": "The request holds no image. Send parts named `images`, or one `archive`; the detail says how "
    "many files were skipped.",
    "no_object_store": "This service reads from no object store. Send the images themselves, or ask the operator to "
    "set one up.",
    "no_verdict_yet": "No worker gave a verdict in time. The batch goes on: poll it, or send it again.",
    "not_found": "It does not exist, or belongs to another tenant. See the id, and the tenant of the key; a batch "
    "may also have been deleted at the end of its retention.",
    "one_image_expected": "This path takes exactly one image. Send several images to `POST /v1/batches`.",
    "overloaded": "The web process has more requests in hand than it takes. Send it again after Retry-After.",
    "quota_exceeded": "Your tenant has used up a quota: stored bytes or items, or open items. The detail says "
    "which, how much is used, and what to do. Send it again after Retry-After.",
    "rate_limited": "This key has sent more requests than its rate limit allows, or too many wrong keys came from "
    "this address. Send it again after Retry-After.",
    "retention_over_quota": "The submission asks for a longer retention than your tenant may have. Ask for less.",
    "precondition_unsupported": "No path compares If-Match, If-None-Match or If-Unmodified-Since on a write, and "
    "nothing was done. Send the request without it; a rescoring takes the batch's `revision` instead.",
    "overtaken": "Another request has rescored the batch since you read it; the detail names its key and point. Read "
    "the batch again, and send its `revision` as `expected_revision` where you still want your point.",
    "part_number_reused": "A part of this number has arrived with other content. Give the other content a new "
    "number.",
    "request_too_large": "The body is larger than the service takes. Send less at once: several batches, or a "
    "draft in parts.",
    "storage_full": "The disk has too little room left. The operator makes some: a shorter retention, or a larger "
    "disk; send it again afterwards.",
    "too_many_archives": "A request holds at most one archive. Send each archive as a batch of its own.",
    "too_many_endpoints": "The tenant has as many webhook endpoints as it may have. Delete one that is not used.",
    "too_many_items": "The batch would hold more items than one batch may. Send several batches.",
    "unauthorized": "There is no live API key in the request. Send `Authorization: Bearer KEY`; the first key lies "
    "in `DATA_DIR/admin-key`.",
    "unavailable": "A part that the request needs is away. Send it again after Retry-After.",
    "unknown_file": "A line of the manifest names no image of the submission. Write the names as they are sent, "
    "with their folders.",
    "unknown_model": "No model version has this id or name, or none is active. `gonogo models list` shows those "
    "that there are; activate one.",
    "unknown_part": "The form has a part that this path does not know. Use the names in the detail.",
    "unknown_scope": f"A key's scopes are some of {', '.join(SCOPES)}. Name one or more of them.",
    "unsupported_format": "The path has no form that the Accept header or `format` asks for. Ask for one of those "
    "that the detail names.",
    "parquet_not_installed": "This service writes no Parquet. Ask for ndjson or csv; its operator can install the "
    "extra `gonogo[parquet]`.",
    "unsupported_media_type": "This path does not take this Content-Type. The detail names those that it takes.",
    "upload_lost": "The upload went quiet for too long and was given up, or a retry of it took over. Send it again "
    "with the same Idempotency-Key.",
    "wrong_state": "The object is in a state that does not allow this. Read it again: the detail names its state.",
}

ITEM_CODES = {
    "corrupt_image": "The file is empty, cut off or damaged. Take the image again, or copy it from its source "
    "again.",
    "fetch_failed": "The image's bytes could not be read, from its URL or from the store. See that they are there, "
    "then judge the item again with `retry`.",
    "fetch_forbidden_address": "The image's URL leads to an address that the service must not reach. Send the "
    "bytes, or let the operator allow that network.",
    "inference_failed": "The network failed on this image. Judge it again with `retry`; if it fails again, tell "
    "the operator.",
    "multiple_frames": "The file holds several frames, pages or images. The option `frames: split` makes an item "
    "of each.",
    "poison_image": "Workers died on this image again and again, so it is not tried any more. Tell the operator, "
    "who finds its bytes by the item's id.",
    "timeout": "The image took longer than a worker may take. Judge it again with `retry` when the machine is less "
    "busy.",
    "too_costly": "Decoding the image would take more memory or work than one image may. Save it in a plainer "
    "form, such as a baseline JPEG.",
    "too_large": "The file has more bytes than an image may have. Send it compressed or smaller.",
    "too_many_pixels": "The image declares more pixels than the service decodes. Send it smaller, or cut into "
    "several images.",
    "too_small": "A side of the image has fewer than 16 pixels. Send the image as the camera took it.",
    "unsafe_archive_member": "A link, a device, an encrypted member, or a name that climbs out of the archive. "
    "Make the archive of plain files, without a password.",
    "unsupported_media": "Not a JPEG, PNG, WebP, BMP or TIFF, or more than 8 bits without a declared scale. "
    "Convert it, and send it again.",
    "worker_lost": "The worker that held this image was lost, and the tries are used up. Judge it again with "
    "`retry`.",
}


def cause_and_remedy(text: str) -> tuple[str, str]:
    """The two parts of a code's text."""
    cause, _, remedy = text.partition(". ")
    return f"{cause}.", remedy
