"""A web service: a file in, its report out, as JSON or as an HTML page.

Run it:  pip install "fastapi>=0.165" uvicorn python-multipart
         uvicorn --app-dir examples service:app
Use it:  curl -F file=@clip.mp4 http://127.0.0.1:8000/reports
         curl -F file=@clip.mp4 "http://127.0.0.1:8000/reports?format=html" -o report.html

Put it behind your own authentication: whoever reaches it can keep its processors busy. Put a proxy
with timeouts in front of it as well: uvicorn waits without end for an upload that comes slowly.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request, Response, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse

from mmcrime import CrimeDetectionPipeline, MediaError, MmcrimeError, Report, __version__
from mmcrime.errors import BudgetExceededError, UnsupportedMediaError

UPLOAD_LIMIT = int(os.environ.get("UPLOAD_LIMIT", "200_000_000"))  # bytes of one request
DEADLINE = float(os.environ.get("DEADLINE", "120"))  # seconds, the wait for a free place included
STATUS = {UnsupportedMediaError: 415, MediaError: 422, BudgetExceededError: 504}
"""What the client can do something about, first match wins; everything else is our fault: 500."""
log = logging.getLogger("uvicorn.error")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    """Open one pipeline a process, after the workers were forked; close it at the end."""
    async with CrimeDetectionPipeline() as pipeline:
        yield {"pipeline": pipeline}


app = FastAPI(title="mmcrime", version=__version__, lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the service is up."""
    return {"status": "ok", "version": __version__}


@app.post("/reports", max_body_size=UPLOAD_LIMIT)  # older FastAPI refuses this keyword here
async def report_on(
    request: Request,
    file: UploadFile,  # in a temporary file once it is larger than 1 MB
    form: Annotated[Literal["json", "html"], Query(alias="format")] = "json",
) -> Response:
    """Analyze one upload. `undetermined` is an answer (200); only unreadable media is an error."""
    if (parts := len((await request.form()).multi_items())) != 1:
        # Of several, all but one would be dropped, and the report would not say so.
        raise HTTPException(422, f"Send one part, named file. This upload has {parts}.")
    work = request.state.pipeline.analyze_async(
        file.file,
        name=file.filename,  # hostile text: shown, and never a path
        deadline=DEADLINE,
        offline=True,
    )
    report = await while_connected(request, work)
    if form == "html":
        page = await asyncio.to_thread(report.to_html)
        return HTMLResponse(page, headers={"X-Content-Type-Options": "nosniff"})
    return Response(await asyncio.to_thread(report.to_json), media_type="application/json")


async def while_connected(request: Request, work: Coroutine[Any, Any, Report]) -> Report:
    """Wait for the report; when the client leaves, cancel the work that nobody waits for."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=1.0))[0]:
            if await request.is_disconnected():
                raise HTTPException(499, "The client has left.")
        return await task
    finally:
        task.cancel()


@app.exception_handler(MmcrimeError)
async def explain(_: Request, error: MmcrimeError) -> JSONResponse:
    """Turn a typed error into a status, and into JSON that says what to do next."""
    status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)
    if status == 500:
        log.error("%s", error)  # what is wrong with our set-up is not for the client
        return JSONResponse({"error": "ServiceError", "message": "Not set up correctly."}, 500)
    body = {"error": type(error).__name__, "message": error.message, "next_step": error.next_step}
    return JSONResponse(body, status)
